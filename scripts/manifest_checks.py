"""What an API server refuses although the schemas allow it, and what it accepts although it cannot work.

Each check is a function from an ``Overlay`` to problems in words; ``problems`` runs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from purport.serving.server import GRACE_S
from purport.settings import ServerSettings

Object = dict[str, Any]
PREFIX = "PURPORT_"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_UNITS = {"m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True)
class Overlay:
    """The rendered objects, and what they have to fit: the server's paths and metrics, the adapter's metrics."""

    objects: list[Object]
    paths: frozenset[str]
    metrics: frozenset[str]
    adapter_metrics: frozenset[str]

    def of(self, kind: str) -> list[Object]:
        """Every object of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def named(self, kind: str, name: str) -> Object | None:
        """The object of that kind and name, if there is one."""
        return next((each for each in self.of(kind) if each["metadata"]["name"] == name), None)

    def selected(self, selector: dict[str, str]) -> list[Object]:
        """The Deployments whose pods have every label of ``selector``."""
        return [each for each in self.of("Deployment") if selector.items() <= pod_labels(each).items()]


def problems(overlay: Overlay) -> list[str]:
    """What is wrong, each with the object that it is in; empty when all is well."""
    return [problem for check in CHECKS for problem in check(overlay)]


def named(each: Object) -> str:
    """Kind and name, as kubectl writes them."""
    return f"{each['kind']}/{each['metadata']['name']}"


def pod_labels(deployment: Object) -> dict[str, str]:
    """The labels of its pods."""
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return labels


def pod_spec(deployment: Object) -> Object:
    """What its pods are."""
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


def ports_of(deployment: Object) -> dict[str, int]:
    """The ports of its containers by name."""
    return {port["name"]: port["containerPort"] for box in pod_spec(deployment)["containers"] for port in box["ports"]}


def quantity(text: str | int) -> float:
    """A Kubernetes quantity such as ``500m`` or ``512Mi`` as a number."""
    number = str(text).rstrip("".join(_UNITS))
    return float(number) * _UNITS[str(text).removeprefix(number)]


def selectors(overlay: Overlay) -> Iterator[str]:
    """A selector that finds no pod, or that is empty and so finds every pod of the namespace."""
    for each in overlay.objects:
        spec = each.get("spec", {})
        match each["kind"]:
            case "Deployment" | "PodDisruptionBudget":
                selector = spec["selector"].get("matchLabels", {})
            case "NetworkPolicy":
                selector = spec["podSelector"].get("matchLabels", {})
            case "Service":
                selector = spec.get("selector", {})
            case _:
                continue
        if not selector:
            yield f"{named(each)}: the empty selector finds every pod of the namespace"
        elif each["kind"] == "Deployment" and not selector.items() <= pod_labels(each).items():
            yield f"{named(each)}: the selector {selector} does not match the labels of its pods {pod_labels(each)}"
        elif not overlay.selected(selector):
            yield f"{named(each)}: no pod has the labels {selector}"


def spread(overlay: Overlay) -> Iterator[str]:
    """A rule that spreads other pods than these."""
    for each in overlay.of("Deployment"):
        for rule in pod_spec(each).get("topologySpreadConstraints", []):
            if not rule["labelSelector"].get("matchLabels", {}).items() <= pod_labels(each).items():
                yield f"{named(each)}: the rule that spreads pods over {rule['topologyKey']} does not find its pods"


def resources(overlay: Overlay) -> Iterator[str]:
    """A request above its limit."""
    for each in overlay.of("Deployment"):
        for box in pod_spec(each)["containers"]:
            requests, limits = (box["resources"].get(part, {}) for part in ("requests", "limits"))
            for name in requests.keys() & limits.keys():
                if quantity(requests[name]) > quantity(limits[name]):
                    yield f"{named(each)}: the request {name} {requests[name]} is above the limit {limits[name]}"


def ports(overlay: Overlay) -> Iterator[str]:
    """A port that no computer has, or a Service or NetworkPolicy port that no container has."""
    for each in overlay.of("Deployment"):
        for name, number in ports_of(each).items():
            if not 1 <= number <= 65535:
                yield f"{named(each)}: the port {name} {number} is not between 1 and 65535"
    for each in overlay.of("Service"):
        wanted = [port["targetPort"] for port in each["spec"]["ports"]]
        yield from _missing_ports(overlay, each, "targetPort", wanted, each["spec"].get("selector", {}))
        for port in each["spec"]["ports"]:
            if not 1 <= port["port"] <= 65535:
                yield f"{named(each)}: the port {port['port']} is not between 1 and 65535"
    for each in overlay.of("NetworkPolicy"):
        wanted = [port["port"] for rule in each["spec"]["ingress"] for port in rule["ports"]]
        yield from _missing_ports(overlay, each, "port", wanted, each["spec"]["podSelector"].get("matchLabels", {}))


def _missing_ports(
    overlay: Overlay, each: Object, what: str, wanted: list[str | int], selector: dict[str, str]
) -> Iterator[str]:
    for deployment in overlay.selected(selector):
        found = ports_of(deployment)
        for port in wanted:
            if port not in found and port not in found.values():
                yield f'{named(each)}: the {what} "{port}" is no port of {named(deployment)}, which has {found}'


def probes(overlay: Overlay) -> Iterator[str]:
    """A probe that is missing, or asks for a path or port that the server does not have."""
    for each in overlay.of("Deployment"):
        for box in pod_spec(each)["containers"]:
            for probe in PROBES:
                if probe not in box:
                    yield f"{named(each)}: {probe} is missing"
                    continue
                asked = box[probe]["httpGet"]
                if asked["path"] not in overlay.paths:
                    yield f"{named(each)}: {probe} asks for {asked['path']}, which the server does not have"
                if asked["port"] not in {*ports_of(each), *ports_of(each).values()}:
                    yield f'{named(each)}: {probe} asks port "{asked["port"]}", which no container has'
            if box.get("livenessProbe", {}).get("httpGet", {}).get("path") == "/ready":
                yield f"{named(each)}: livenessProbe asks for /ready: it would kill a server that loads or drains"


def settings_of(overlay: Overlay, deployment: Object) -> dict[str, str]:
    """The environment of its containers, as far as ConfigMaps and values say."""
    found: dict[str, str] = {}
    for box in pod_spec(deployment)["containers"]:
        for source in box.get("envFrom", []):
            config = overlay.named("ConfigMap", source["configMapRef"]["name"])
            found |= config["data"] if config else {}
        found |= {each["name"]: each.get("value", "") for each in box.get("env", [])}
    return found


def settings(overlay: Overlay) -> Iterator[str]:
    """A setting that the server does not know or cannot use, a ConfigMap that is missing, another port than its own."""
    for each in overlay.of("Deployment"):
        for box in pod_spec(each)["containers"]:
            for source in box.get("envFrom", []):
                if not overlay.named("ConfigMap", source["configMapRef"]["name"]):
                    yield f"{named(each)}: there is no ConfigMap {source['configMapRef']['name']}"
        given = {name: value for name, value in settings_of(overlay, each).items() if name.startswith(PREFIX)}
        for name in given:
            if name.removeprefix(PREFIX).lower() not in ServerSettings.model_fields:
                yield f"{named(each)}: {name} is no setting of the server; `purport config` lists them"
        known = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
        known = {name: value for name, value in known.items() if name in ServerSettings.model_fields}
        try:
            used = ServerSettings(**known)  # type: ignore[arg-type]
        except ValidationError as error:
            for item in error.errors():
                yield f"{named(each)}: {PREFIX}{str(item['loc'][0]).upper()}: {item['msg']}"
            continue
        if used.port not in ports_of(each).values():
            yield f"{named(each)}: the server listens on PURPORT_PORT={used.port}, the container has {ports_of(each)}"
        stop, grace = used.drain_seconds + GRACE_S, pod_spec(each).get("terminationGracePeriodSeconds", 30)
        if grace <= stop:
            yield (
                f"{named(each)}: terminationGracePeriodSeconds {grace} is not longer than drain and grace of the"
                f" server, {stop:g} s: requests under way would be cut off"
            )


def autoscalers(overlay: Overlay) -> Iterator[str]:
    """Bounds the wrong way round, nothing to scale, or a metric that nobody has."""
    for each in overlay.of("HorizontalPodAutoscaler"):
        spec = each["spec"]
        if spec["minReplicas"] > spec["maxReplicas"]:
            yield f"{named(each)}: minReplicas {spec['minReplicas']} is above maxReplicas {spec['maxReplicas']}"
        target = spec["scaleTargetRef"]
        if target["kind"] != "Deployment" or not overlay.named("Deployment", target["name"]):
            yield f"{named(each)}: there is no {target['kind']}/{target['name']} to scale"
            continue
        for metric in spec["metrics"]:
            if metric["type"] == "Resource":
                yield from _unrequested(each, metric["resource"]["name"], overlay.named("Deployment", target["name"]))
            elif metric["type"] == "Pods":
                name = metric["pods"]["metric"]["name"]
                if name not in overlay.metrics:
                    yield f"{named(each)}: the server has no metric {name}"
                if name not in overlay.adapter_metrics:
                    yield f"{named(each)}: no rule of the adapter gives the metric {name}"


def _unrequested(each: Object, resource: str, deployment: Object | None) -> Iterator[str]:
    for box in pod_spec(deployment)["containers"] if deployment else []:
        if resource not in box["resources"].get("requests", {}):
            yield f"{named(each)}: use of {resource} is a share of the request, and {box['name']} requests none"


def disruption(overlay: Overlay) -> Iterator[str]:
    """A budget that forbids every eviction, so that no node can be drained."""
    for each in overlay.of("PodDisruptionBudget"):
        chosen = {named(pods) for pods in overlay.selected(each["spec"]["selector"].get("matchLabels", {}))}
        least = each["spec"].get("minAvailable")
        for scaler in overlay.of("HorizontalPodAutoscaler"):
            target, fewest = scaler["spec"]["scaleTargetRef"], scaler["spec"]["minReplicas"]
            held = fewest if least == "100%" else least
            if f"{target['kind']}/{target['name']}" in chosen and isinstance(held, int) and held >= fewest:
                yield f"{named(each)}: minAvailable {least} of {fewest} replicas forbids every eviction"
        if each["spec"].get("maxUnavailable") in (0, "0%"):
            yield f"{named(each)}: maxUnavailable 0 forbids every eviction"


def monitors(overlay: Overlay) -> Iterator[str]:
    """A ServiceMonitor that finds no Service, port or path."""
    for each in overlay.of("ServiceMonitor"):
        wanted = each["spec"]["selector"].get("matchLabels", {})
        services = [one for one in overlay.of("Service") if wanted.items() <= one["metadata"]["labels"].items()]
        if not wanted or not services:
            yield f"{named(each)}: the selector {wanted} does not find the Service"
        job = each["spec"].get("jobLabel")
        for service in services:
            if job and job not in service["metadata"]["labels"]:
                yield f"{named(each)}: the jobLabel {job} is no label of {named(service)}"
        found = {port["name"] for service in services for port in service["spec"]["ports"]}
        for endpoint in each["spec"]["endpoints"]:
            if services and endpoint["port"] not in found:
                yield f'{named(each)}: the Service has no port "{endpoint["port"]}"'
            if endpoint["path"] not in overlay.paths:
                yield f"{named(each)}: the server does not have the path {endpoint['path']}"


def confinement(overlay: Overlay) -> Iterator[str]:
    """Pods that could do more than they need to (the "restricted" Pod Security Standard, and what it leaves open)."""
    for each in overlay.of("Deployment"):
        pod = pod_spec(each)
        shared = pod.get("securityContext", {})
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{named(each)}: automountServiceAccountToken must be false"
        if pod.get("enableServiceLinks") is not False:
            yield f"{named(each)}: enableServiceLinks must be false: a Service may be called {PREFIX.lower()}…"
        for box in pod["containers"]:
            own = {**shared, **box.get("securityContext", {})}
            wanted = {
                "runAsNonRoot": own.get("runAsNonRoot") is True,
                "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
                "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
                "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
                "seccompProfile": own.get("seccompProfile") == {"type": "RuntimeDefault"},
            }
            for name, kept in wanted.items():
                if not kept:
                    yield f"{named(each)}: securityContext.{name} of {box['name']} is missing or too weak"


CHECKS: tuple[Callable[[Overlay], Iterator[str]], ...] = (
    selectors, spread, resources, ports, probes, settings, autoscalers, disruption, monitors, confinement,
)  # fmt: skip
