"""What is wrong with the pods of a Deployment: resources, probes, settings, and rights that they do not need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from manifest_objects import (
    Object,
    Overlay,
    amounts,
    boxes_of,
    finds,
    named,
    open_ports,
    pod_labels,
    pod_spec,
    ports_of,
    quantity,
    server_of,
    settings_of,
)  # fmt: skip
from pydantic import ValidationError

from purport.invalid import problems
from purport.serving.server import GRACE_S
from purport.settings import ServerSettings, variable

PREFIX = "PURPORT_"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
LEAST_MEMORY = "256Mi"
# Where deploy/docker/inference.Dockerfile puts a bundle that is built into the image, and where it starts the server.
BAKED, WORKDIR = PurePosixPath("/models/baked"), PurePosixPath("/etc/purport")
# The kinds of volume that the "restricted" Pod Security Standard allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def spread(overlay: Overlay) -> Iterator[str]:
    """A rule that spreads other pods than these."""
    for each in overlay.of("Deployment"):
        for rule in pod_spec(each).get("topologySpreadConstraints") or []:
            if "labelSelector" not in rule or not finds(rule["labelSelector"], pod_labels(each)):
                yield f"{named(each)}: the rule that spreads pods over {rule['topologyKey']} does not find its pods"


def resources(overlay: Overlay) -> Iterator[str]:
    """A quantity that is none, a request above its limit, or less memory than the server needs to start."""
    for each in overlay.of("Deployment"):
        for box in boxes_of(each):
            try:
                yield from _amounts(each, box, server=box is server_of(each))
            except ValueError as error:
                yield f"{named(each)}: resources of {box['name']}: {error}"


def _amounts(each: Object, box: Object, server: bool) -> Iterator[str]:
    requests, limits = amounts(box, "requests"), amounts(box, "limits")
    for name in sorted(requests.keys() & limits.keys()):
        if quantity(requests[name]) > quantity(limits[name]):
            yield f"{named(each)}: the request {name} {requests[name]} is above the limit {limits[name]}"
    if server and "memory" in limits and quantity(limits["memory"]) < quantity(LEAST_MEMORY):
        yield f"{named(each)}: the memory limit {limits['memory']} is below {LEAST_MEMORY}: the server would be killed"


def probes(overlay: Overlay) -> Iterator[str]:
    """A probe that is missing, or asks for a path or port that the server does not have, or with TLS."""
    for each in overlay.of("Deployment"):
        box = server_of(each)
        for probe in PROBES:
            if not box.get(probe):
                yield f"{named(each)}: {probe} is missing"
            elif asked := box[probe].get("httpGet"):
                yield from _asked(overlay, each, probe, asked)
        for other in boxes_of(each):
            for probe in PROBES:
                action = other.get(probe) or {}
                asked = action.get("httpGet") or action.get("tcpSocket")
                if asked and ("TCP", asked["port"]) not in open_ports(other):
                    yield f'{named(each)}: {probe} asks port "{asked["port"]}", which {other["name"]} does not have'


def _asked(overlay: Overlay, each: Object, probe: str, asked: Object) -> Iterator[str]:
    path = asked.get("path", "/")
    if path not in overlay.paths:
        yield f"{named(each)}: {probe} asks for {path}, which the server does not have"
    if asked.get("scheme", "HTTP") != "HTTP":
        yield f"{named(each)}: {probe} uses {asked['scheme']}: the server speaks HTTP only"
    if probe == "livenessProbe" and path == "/ready":
        yield f"{named(each)}: livenessProbe asks for /ready: it would kill a server that loads or drains"


def settings(overlay: Overlay) -> Iterator[str]:
    """A setting that the server does not know or cannot use, or a ConfigMap that is missing."""
    for each in overlay.of("Deployment"):
        for box in boxes_of(each):
            for source in box.get("envFrom") or []:
                config = source.get("configMapRef") or {"optional": True}
                if not config.get("optional") and not overlay.named("ConfigMap", config["name"]):
                    yield f"{named(each)}: there is no ConfigMap {config['name']}"
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in settings_of(overlay, server_of(each)).items()
            if name.startswith(PREFIX)
        }
        for name in given.keys() - ServerSettings.model_fields.keys():
            yield f"{named(each)}: {PREFIX}{name.upper()} is no setting of the server; `purport config` lists them"
        known = {name: value for name, value in given.items() if name in ServerSettings.model_fields}
        try:
            used = ServerSettings(**{name: value for name, value in known.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            for problem in problems(error, ServerSettings):
                yield f"{named(each)}: {problem.at(variable(problem.key))}"
        else:
            unknown = {name for name, value in known.items() if value is None}
            yield from _unusable(each, used, unknown, host_given="host" in known)


def _unusable(each: Object, used: ServerSettings, unknown: set[str], host_given: bool) -> Iterator[str]:
    """Settings that the server accepts but that do not fit the pod. The image itself sets PURPORT_HOST=0.0.0.0."""
    server = server_of(each)
    if host_given and "host" not in unknown and used.host not in ("0.0.0.0", "::"):
        yield f"{named(each)}: nobody can reach the server on PURPORT_HOST={used.host}; set it to 0.0.0.0"
    if "port" not in unknown and ("TCP", used.port) not in open_ports(server):
        yield f"{named(each)}: the server listens on PURPORT_PORT={used.port}, the container has {ports_of(server)}"
    stop, grace = used.drain_seconds + GRACE_S, pod_spec(each).get("terminationGracePeriodSeconds", 30)
    if "drain_seconds" not in unknown and grace <= stop:
        yield (
            f"{named(each)}: terminationGracePeriodSeconds {grace} is not longer than drain and grace of the"
            f" server, {stop:g} s: requests under way would be cut off"
        )
    if "bundle" not in unknown:
        yield from _unmounted(each, used.bundle)


def _unmounted(each: Object, bundle: str) -> Iterator[str]:
    mounted = {WORKDIR / mount["mountPath"] for mount in server_of(each).get("volumeMounts") or []}
    for part in bundle.split(","):
        name = part.rpartition("=")[2].strip()
        path = WORKDIR / name
        if "/" in name and path != BAKED and not {path, *path.parents} & mounted:
            yield f"{named(each)}: PURPORT_BUNDLE={bundle}: no volume is mounted at {name} or above it"


def mounts(overlay: Overlay) -> Iterator[str]:
    """A mount of a volume that the pod does not have."""
    for each in overlay.of("Deployment"):
        volumes = {volume["name"] for volume in pod_spec(each).get("volumes") or []}
        for box in boxes_of(each):
            for mount in box.get("volumeMounts") or []:
                if mount["name"] not in volumes:
                    yield f"{named(each)}: {box['name']} mounts the volume {mount['name']}, which the pod does not have"


def accounts(overlay: Overlay) -> Iterator[str]:
    """A ServiceAccount that is missing: the API server would create no pod."""
    for each in overlay.of("Deployment"):
        account = pod_spec(each).get("serviceAccountName", "default")
        if account != "default" and not overlay.named("ServiceAccount", account):
            yield f"{named(each)}: there is no ServiceAccount {account}"


def confinement(overlay: Overlay) -> Iterator[str]:
    """Pods that could do more than they need to (the "restricted" Pod Security Standard, and what it leaves open)."""
    for each in overlay.of("Deployment"):
        pod = pod_spec(each)
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{named(each)}: automountServiceAccountToken must be false"
        if pod.get("enableServiceLinks") is not False:
            yield f"{named(each)}: enableServiceLinks must be false: a Service may be called {PREFIX.lower()}…"
        for shared in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(shared):
                yield f"{named(each)}: {shared} must not be set"
        if (pod.get("securityContext") or {}).get("sysctls"):
            yield f"{named(each)}: securityContext.sysctls must not be set"
        for volume in pod.get("volumes") or []:
            for kind in sorted(volume.keys() - VOLUMES - {"name"}):
                yield f"{named(each)}: the volume {volume['name']} is of kind {kind}, which must not be used"
        for box in boxes_of(each):
            yield from _rights(each, box)


def _rights(each: Object, box: Object) -> Iterator[str]:
    own = {**(pod_spec(each).get("securityContext") or {}), **(box.get("securityContext") or {})}
    kept = {
        "runAsNonRoot": own.get("runAsNonRoot") is True,
        "runAsUser": own.get("runAsUser") != 0,
        "privileged": not own.get("privileged"),
        "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
        "seccompProfile": own.get("seccompProfile") == {"type": "RuntimeDefault"},
        "procMount": own.get("procMount", "Default") == "Default",
        "appArmorProfile": (own.get("appArmorProfile") or {}).get("type") != "Unconfined",
        "seLinuxOptions": not own.get("seLinuxOptions"),
        "windowsOptions": not own.get("windowsOptions"),
    }
    for name in (name for name, good in kept.items() if not good):
        yield f"{named(each)}: securityContext.{name} of {box['name']} is missing or too weak"
    for port in box.get("ports") or []:
        if port.get("hostPort"):
            yield f"{named(each)}: {box['name']} takes the port {port['hostPort']} of its node (hostPort)"
