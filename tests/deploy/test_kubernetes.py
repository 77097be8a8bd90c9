"""The manifests are accepted by an API server and work: what schemas, cross-checks and measurements can tell."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import manifests
import pytest
from manifest_checks import problems
from manifest_objects import Overlay, pod_spec, quantity, server_of, settings_of
from manifest_pods import BAKED, WORKDIR

import purport

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("cpu", "gpu")
X = {"app": "x"}
BARE: dict[str, Any] = {"name": "bare", "image": "busybox"}
CONFINED = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip
NAME = "app.kubernetes.io/name"
CORES = {"resourceFieldRef": {"containerName": "server", "resource": "limits.cpu"}}
GONE = object()
SIDECAR = {**BARE, "securityContext": CONFINED}


@pytest.fixture(scope="module", autouse=True)
def renderer(program: Callable[..., str]) -> None:
    program("kustomize", "kubectl", install=f"these tests need {manifests.NEEDED}")


@cache
def rendered(name: str) -> Overlay:
    return manifests.overlay_of(manifests.render(manifests.FOLDER / "overlays" / name))


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Overlay:
    return rendered(request.param)


def one(overlay: Overlay, kind: str) -> Any:
    (found,) = overlay.of(kind)
    return found


def test_every_overlay_is_tested() -> None:
    assert sorted(OVERLAYS) == [folder.name for folder in manifests.overlays()]


def test_an_overlay_holds_all_that_a_service_needs(overlay: Overlay) -> None:
    assert sorted(each["kind"] for each in overlay.objects) == [
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service",
        "ServiceAccount", "ServiceMonitor",
    ]  # fmt: skip


def test_the_schemas_reach_from_the_oldest_version_to_the_newest() -> None:
    known = manifests.versions()
    assert known[0].startswith("1.29")
    assert len(known) >= 9


def test_an_overlay_is_sound(overlay: Overlay) -> None:
    assert manifests.check(overlay.objects) == []


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("Deployment", "spec.selector.matchLabels", X, "does not match the labels of its pods"),
        ("Service", "spec.selector", X, "Service/intent-classifier: no pod has the labels {'app': 'x'}"),
        ("PodDisruptionBudget", "spec.selector", {}, "PodDisruptionBudget/intent-classifier: the empty selector"),
        ("NetworkPolicy", "spec.podSelector.matchLabels", X, "NetworkPolicy/intent-classifier: no pod"),
        ("NetworkPolicy", "spec.ingress.0.ports.0.port", "web", 'the port "web" is no port'),
        ("Deployment", "{pod}.topologySpreadConstraints.0.labelSelector", {"matchLabels": X}, "spreads pods"),
        ("Deployment", "{box}.resources.requests.cpu", "2500m", "the request cpu 2500m is above the limit 2"),
        ("Deployment", "{box}.resources.requests.memory", "5Gi", "the request memory 5Gi is above the limit"),
        ("Deployment", "{box}.ports.0.containerPort", 80000, "the port http 80000 is not between 1 and 65535"),
        ("Service", "spec.ports.0.port", 70000, "the port 70000 is not between 1 and 65535"),
        ("Service", "spec.ports.0.targetPort", "web", 'the targetPort "web" is no port of Deployment'),
        ("Deployment", "{box}.readinessProbe.httpGet.path", "/readyz", "readinessProbe asks for /readyz, which"),
        ("Deployment", "{box}.startupProbe.httpGet.port", "web", 'startupProbe asks port "web"'),
        ("Deployment", "{box}.livenessProbe.httpGet.path", "/ready", "it would kill a server that loads or drains"),
        ("ConfigMap", "data.PURPORT_DRAIN", "15", "PURPORT_DRAIN is no setting of the server"),
        ("ConfigMap", "data.PURPORT_DRAIN_SECONDS", "long", "PURPORT_DRAIN_SECONDS must be a number, not \"long\""),
        ("ConfigMap", "data.PURPORT_PORT", "9000", "the server listens on PURPORT_PORT=9000"),
        ("ConfigMap", "metadata.name", "other", "there is no ConfigMap intent-classifier-settings"),
        ("ConfigMap", "data.PURPORT_DRAIN_SECONDS", "25", "terminationGracePeriodSeconds 45 is not longer"),
        ("Deployment", "{pod}.terminationGracePeriodSeconds", 35, "terminationGracePeriodSeconds 35 is not longer"),
        ("HorizontalPodAutoscaler", "spec.minReplicas", 50, "minReplicas 50 is above maxReplicas"),
        ("HorizontalPodAutoscaler", "spec.scaleTargetRef.name", "other", "there is no Deployment/other to scale"),
        ("HorizontalPodAutoscaler", "spec.metrics.1.pods.metric.name", "purport_queue", "the server has no metric"),
        ("HorizontalPodAutoscaler", "spec.metrics.1.pods.metric.name", "purport_workers", "no rule of the adapter"),
        ("Deployment", "{box}.resources.requests", {}, "use of cpu is a share of the request"),
        ("PodDisruptionBudget", "spec.minAvailable", 3, "of 3 replicas forbids every eviction"),
        ("PodDisruptionBudget", "spec.minAvailable", "100%", "forbids every eviction"),
        ("PodDisruptionBudget", "spec.maxUnavailable", 0, "maxUnavailable 0 forbids every eviction"),
        ("ServiceMonitor", "spec.selector.matchLabels", X, "does not find the Service"),
        ("ServiceMonitor", "spec.jobLabel", "job", "the jobLabel job is no label of Service/intent-classifier"),
        ("ServiceMonitor", "spec.endpoints.0.port", "metrics", 'the Service has no port "metrics"'),
        ("ServiceMonitor", "spec.endpoints.0.path", "/stats", "the server does not have the path /stats"),
        ("Deployment", "{pod}.securityContext.runAsNonRoot", False, "securityContext.runAsNonRoot of server"),
        ("Deployment", "{box}.securityContext.readOnlyRootFilesystem", False, "readOnlyRootFilesystem of server"),
        ("Deployment", "{box}.securityContext.capabilities", {"add": ["NET_RAW"]}, "capabilities of server"),
        ("Deployment", "{pod}.enableServiceLinks", True, "enableServiceLinks must be false"),
        ("Deployment", "{pod}.automountServiceAccountToken", True, "automountServiceAccountToken must be false"),
        ("ConfigMap", "data.PURPORT_HOST", "127.0.0.1", "nobody can reach the server on PURPORT_HOST=127.0.0.1"),
        ("ConfigMap", "data.PURPORT_HOST", "localhost", "nobody can reach the server on PURPORT_HOST=localhost"),
        ("ConfigMap", "data.PURPORT_BUNDLE", "/models/x", "no volume is mounted at /models/x or above it"),
        ("ConfigMap", "data.PURPORT_BUNDLE", "a=atis,x=/models/x", "no volume is mounted at /models/x or above it"),
        ("Deployment", "{box}.volumeMounts", [{"name": "x", "mountPath": "/x"}], "mounts the volume x, which"),
        ("Deployment", "{pod}.serviceAccountName", "other", "there is no ServiceAccount other"),
        ("Deployment", "{box}.resources.limits.memory", "128Mi", "the memory limit 128Mi is below 256Mi"),
        ("Deployment", "{box}.resources.limits.memory", "512m", "the memory limit 512m is below 256Mi"),
        ("Deployment", "{box}.resources.limits.memory", "512MB", '"512MB" is no quantity'),
        ("Deployment", "{box}.readinessProbe.httpGet.scheme", "HTTPS", "readinessProbe uses HTTPS: the server speaks"),
        ("Deployment", "{box}.ports.0.protocol", "UDP", "the server listens on PURPORT_PORT=8000"),
        ("Service", "spec.ports.0.protocol", "UDP", 'the targetPort "http/UDP" is no port of Deployment'),
        ("NetworkPolicy", "spec.ingress.0.ports.0.protocol", "UDP", 'the port "http/UDP" is no port of Deployment'),
        ("NetworkPolicy", "spec.ingress", [], "without an ingress rule nobody may ask Deployment/intent-classifier"),
        ("NetworkPolicy", "spec.policyTypes", ["Egress"], "every pod of the cluster may ask Deployment"),
        ("NetworkPolicy", "spec.ingress.0.ports", [{"port": 8001, "endPort": 8009}], "no ingress rule opens the port"),
        ("PodDisruptionBudget", "spec.minAvailable", "67%", "forbids every eviction"),
        ("ServiceMonitor", "spec.endpoints.0.scheme", "https", "the endpoint uses https: the server speaks HTTP only"),
        ("Deployment", "{pod}.hostNetwork", True, "hostNetwork must not be set"),
        ("Deployment", "{pod}.hostPID", True, "hostPID must not be set"),
        ("Deployment", "{pod}.hostIPC", True, "hostIPC must not be set"),
        ("Deployment", "{pod}.volumes", [{"name": "x", "hostPath": {"path": "/"}}], "the volume x is of kind hostPath"),
        ("Deployment", "{pod}.securityContext.runAsUser", 0, "securityContext.runAsUser of server"),
        ("Deployment", "{box}.securityContext.runAsUser", 0, "securityContext.runAsUser of server"),
        ("Deployment", "{box}.securityContext.privileged", True, "securityContext.privileged of server"),
        ("Deployment", "{box}.ports.0.hostPort", 80, "server takes the port 80 of its node"),
        ("Deployment", "{pod}.initContainers", [{**BARE, "securityContext": {"privileged": True}}],
         "securityContext.privileged of bare"),
        ("Deployment", "{pod}.initContainers", [BARE], "securityContext.capabilities of bare"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_and_named(kind: str, path: str, value: object, said: str) -> None:
    sound = rendered("cpu")
    assert said in "\n".join(problems(changed(sound, kind, path, value)))


def changed(sound: Overlay, kind: str, path: str, value: object) -> Overlay:
    """``sound`` with another value in one place."""
    overlay = Overlay(copy.deepcopy(sound.objects), sound.paths, sound.metrics, sound.adapter_metrics)
    pod, box = "spec.template.spec", "spec.template.spec.containers.0"
    *way, last = path.format(pod=pod, box=box).split(".")
    place = one(overlay, kind)
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if value is GONE:
        del place[last]
    elif last == "+":
        place.append(value)
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return overlay


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "{box}.envFrom.+", {"secretRef": {"name": "keys"}}),
        ("Deployment", "{box}.envFrom.+", {"configMapRef": {"name": "later", "optional": True}}),
        ("Deployment", "{box}.env.+", {"name": "PURPORT_WORKERS", "valueFrom": CORES}),
        ("Deployment", "{box}.env.+", {"name": "PURPORT_PORT", "valueFrom": CORES}),
        ("Deployment", "{box}.env.+", {"name": "PURPORT_HOST", "value": "$(POD_IP)"}),
        ("Deployment", "{pod}.initContainers", [SIDECAR]),
        ("Deployment", "{pod}.containers.+", {**SIDECAR, "resources": {"requests": {"cpu": "10m"}}}),
        ("Deployment", "{box}.livenessProbe", {"exec": {"command": ["purport", "--version"]}}),
        ("Deployment", "{box}.livenessProbe", {"tcpSocket": {"port": "http"}}),
        ("Deployment", "{box}.resources.limits.memory", "1Ti"),
        ("Deployment", "{box}.resources.limits.memory", "1e9"),
        ("Deployment", "{pod}.serviceAccountName", "default"),
        ("Deployment", "spec.selector", {"matchExpressions": [{"key": NAME, "operator": "Exists"}]}),
        ("ConfigMap", "data.PURPORT_BUNDLE", str(BAKED)),
        ("HorizontalPodAutoscaler", "spec.minReplicas", GONE),
        ("HorizontalPodAutoscaler", "spec.metrics", GONE),
        ("NetworkPolicy", "spec.ingress.0.ports", GONE),
        ("NetworkPolicy", "spec.ingress.0.ports.0.port", GONE),
        ("NetworkPolicy", "spec.policyTypes", GONE),
        ("Service", "spec.ports.0", {"name": "http", "port": 8000}),
        ("ServiceMonitor", "spec.endpoints.0.path", GONE),
    ],
)
def test_an_ordinary_overlay_is_sound(kind: str, path: str, value: object) -> None:
    assert problems(changed(rendered("cpu"), kind, path, value)) == []


def test_a_sidecar_without_resources_and_a_service_without_labels_are_problems_not_crashes() -> None:
    overlay = changed(rendered("cpu"), "Deployment", "{pod}.containers.+", SIDECAR)
    assert [problem.partition(": ")[2] for problem in problems(overlay)] == [
        "use of cpu is a share of the request, and bare requests none"
    ]
    found = "\n".join(problems(changed(rendered("cpu"), "Service", "metadata.labels", GONE)))
    assert "ServiceMonitor/intent-classifier: the selector" in found


def test_the_places_in_the_image_are_those_of_its_dockerfile() -> None:
    text = (ROOT / "deploy/docker/inference.Dockerfile").read_text("utf-8")
    assert f"ENV PURPORT_BUNDLE={BAKED}\n" in text and f"WORKDIR {WORKDIR}\n" in text


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("Deployment", "{box}.readinessprobe", {}, "readinessprobe"),
        ("HorizontalPodAutoscaler", "spec.maxReplicas", "many", "is not of type 'integer'"),
        ("ServiceMonitor", "spec.endpoints.0.intervall", "15s", "intervall"),
        ("ServiceMonitor", "spec.endpoints.0.interval", "15 seconds", "does not match"),
    ],
)
def test_a_mistake_of_form_is_found_by_the_schemas(kind: str, path: str, value: object, said: str) -> None:
    overlay = changed(rendered("cpu"), kind, path, value)
    assert said in "\n".join(manifests.schema_problems([one(overlay, kind)]))


def test_the_image_is_that_of_this_version(overlay: Overlay) -> None:
    image = pod_spec(one(overlay, "Deployment"))["containers"][0]["image"]
    assert image.removesuffix("-cuda") == f"intent-classifier-inference:{purport.__version__}"


def test_the_alerts_fit_the_job_that_the_monitor_sets(overlay: Overlay) -> None:
    job = one(overlay, "Service")["metadata"]["labels"][one(overlay, "ServiceMonitor")["spec"]["jobLabel"]]
    rules = (ROOT / "deploy/prometheus/rules.yml").read_text("utf-8")
    assert set(re.findall(r'job="(\w+)"', rules)) == {job}


def test_memory_is_enough_for_what_the_soak_test_needed() -> None:
    (box,) = pod_spec(one(rendered("cpu"), "Deployment"))["containers"]
    soak = json.loads((ROOT / "results/serving/soak.json").read_text("utf-8"))["memory_mib"]
    assert max(soak.values()) * 2**20 < quantity(box["resources"]["limits"]["memory"]) * 2 / 3


def test_a_pod_has_the_cores_on_which_its_rate_was_measured() -> None:
    (box,) = pod_spec(one(rendered("cpu"), "Deployment"))["containers"]
    load = json.loads((ROOT / "results/serving/load.json").read_text("utf-8"))
    assert quantity(box["resources"]["requests"]["cpu"]) == quantity(box["resources"]["limits"]["cpu"])
    assert quantity(box["resources"]["limits"]["cpu"]) == load["workers"]


def test_the_overlay_in_the_guide_serves_a_mounted_bundle(tmp_path: Path) -> None:
    shutil.copytree(manifests.FOLDER, tmp_path / "kubernetes")
    own = tmp_path / "kubernetes/overlays/own"
    own.mkdir()
    _, _, rest = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text("utf-8").partition("```yaml\n")
    (own / "kustomization.yaml").write_text(rest.partition("```")[0], "utf-8")
    overlay = manifests.overlay_of(manifests.render(own))
    assert manifests.check(overlay.objects) == []
    bundle = settings_of(overlay, server_of(one(overlay, "Deployment")))["PURPORT_BUNDLE"]
    assert [mount["mountPath"] for mount in pod_spec(one(overlay, "Deployment"))["containers"][0]["volumeMounts"]] == [
        bundle
    ]


def test_the_capacity_page_is_what_its_script_writes() -> None:
    # A process of its own: what other tests asked a server is counted in this one.
    command = [sys.executable, "-c", "import capacity; print(capacity.text(), end='')"]
    done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True, check=True)
    page = ROOT / "docs/explanation/capacity.md"
    assert page.read_text("utf-8") == done.stdout, "run: python scripts/capacity.py"


def test_probes_wait_longer_than_an_answer_takes_under_overload(overlay: Overlay) -> None:
    (box,) = pod_spec(one(overlay, "Deployment"))["containers"]
    slowest = json.loads((ROOT / "results/serving/overload.json").read_text("utf-8"))["all_max_ms"] / 1000
    assert box["readinessProbe"]["timeoutSeconds"] > 3 * slowest
    assert box["livenessProbe"]["timeoutSeconds"] > box["readinessProbe"]["timeoutSeconds"]


def test_a_start_may_take_ten_times_as_long_as_the_slowest_that_was_measured(overlay: Overlay) -> None:
    (box,) = pod_spec(one(overlay, "Deployment"))["containers"]
    start = json.loads((ROOT / "results/serving/start.json").read_text("utf-8"))
    assert box["startupProbe"]["periodSeconds"] * box["startupProbe"]["failureThreshold"] > 10 * max(start["all_s"])


def test_a_missing_kubectl_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match=r"needs kubectl 1\.27 or newer, or kustomize 5 or newer; neither is on PATH"):
        manifests.render(manifests.FOLDER / "overlays" / "cpu")


def test_the_command_fails_with_a_line_for_each_problem(tmp_path: Path) -> None:
    shutil.copytree(manifests.FOLDER, tmp_path / "kubernetes")
    budget = tmp_path / "kubernetes/base/disruption.yaml"
    budget.write_text(budget.read_text("utf-8").replace("maxUnavailable: 1", "maxUnavailable: 0"), "utf-8")
    command = [sys.executable, ROOT / "scripts/manifests.py", tmp_path / "kubernetes/overlays/cpu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == "cpu: PodDisruptionBudget/intent-classifier: maxUnavailable 0 forbids every eviction"
