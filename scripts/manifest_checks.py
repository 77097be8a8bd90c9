"""What an API server refuses although the schemas allow it, and what it accepts although it cannot work.

Each check is a function from an ``Overlay`` to problems in words; ``problems`` runs all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from manifest_objects import (
    Object,
    Overlay,
    Port,
    amounts,
    finds,
    labels,
    named,
    open_ports,
    pod_labels,
    pod_spec,
    ports_of,
    selector_of,
    server_of,
    wanted,
)  # fmt: skip
from manifest_pods import accounts, confinement, mounts, probes, resources, settings, spread


def problems(overlay: Overlay) -> list[str]:
    """What is wrong, each with the object that it is in; empty when all is well."""
    return [problem for check in CHECKS for problem in check(overlay)]


def selectors(overlay: Overlay) -> Iterator[str]:
    """A selector that finds no pod, or that is empty and so finds every pod of the namespace."""
    for each in overlay.objects:
        if each["kind"] not in ("Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service"):
            continue
        selector = selector_of(each)
        if not wanted(selector) and not selector.get("matchExpressions"):
            yield f"{named(each)}: the empty selector finds every pod of the namespace"
        elif each["kind"] == "Deployment" and not finds(selector, pod_labels(each)):
            yield f"{named(each)}: the selector {selector} does not match the labels of its pods {pod_labels(each)}"
        elif not overlay.selected(selector):
            yield f"{named(each)}: no pod has the labels {wanted(selector) or selector}"


def ports(overlay: Overlay) -> Iterator[str]:
    """A port that no computer has, or a Service or NetworkPolicy port that no container has."""
    for each in overlay.of("Deployment"):
        for name, number in ports_of(*pod_spec(each)["containers"]).items():
            if not 1 <= number <= 65535:
                yield f"{named(each)}: the port {name} {number} is not between 1 and 65535"
    for each in overlay.of("Service"):
        given = each["spec"].get("ports") or []
        aims = [(port.get("protocol", "TCP"), port.get("targetPort", port["port"])) for port in given]
        yield from _missing_ports(overlay, each, "targetPort", aims)
        for port in given:
            if not 1 <= port["port"] <= 65535:
                yield f"{named(each)}: the port {port['port']} is not between 1 and 65535"
    for each in overlay.of("NetworkPolicy"):
        given = [port for rule in each["spec"].get("ingress") or [] for port in rule.get("ports") or []]
        aims = [
            (port.get("protocol", "TCP"), port["port"]) for port in given if "port" in port and "endPort" not in port
        ]
        yield from _missing_ports(overlay, each, "port", aims)


def _missing_ports(overlay: Overlay, each: Object, what: str, aims: Iterable[Port]) -> Iterator[str]:
    for deployment in overlay.selected(selector_of(each)):
        boxes = pod_spec(deployment)["containers"]
        for protocol, port in aims:
            if (protocol, port) not in open_ports(*boxes):
                shown = f"{port}" if protocol == "TCP" else f"{port}/{protocol}"
                found = f"{named(deployment)}, which has {ports_of(*boxes)}"
                yield f'{named(each)}: the {what} "{shown}" is no port of {found}'


def access(overlay: Overlay) -> Iterator[str]:
    """NetworkPolicies that let nobody in, or everybody."""
    for each in overlay.of("Deployment"):
        policies = [one for one in overlay.of("NetworkPolicy") if finds(selector_of(one), pod_labels(each))]
        # Without policyTypes a policy is for what comes in, whatever else it is for.
        inward = [one for one in policies if "Ingress" in (one["spec"].get("policyTypes") or ["Ingress"])]
        names = ", ".join(map(named, policies))
        rules = [rule for one in inward for rule in one["spec"].get("ingress") or []]
        if policies and not inward:
            yield f"{names}: without the policy type Ingress every pod of the cluster may ask {named(each)}"
        elif inward and not rules:
            yield f"{names}: without an ingress rule nobody may ask {named(each)}"
        elif inward and not any(_lets_in(rule, server_of(each)) for rule in rules):
            yield f"{names}: no ingress rule opens the port of {named(each)}"


def _lets_in(rule: Object, server: Object) -> bool:
    """Whether an ingress rule opens a port of the server; without ``ports`` it opens all."""
    for port in rule.get("ports") or [{}]:
        protocol, first = port.get("protocol", "TCP"), port.get("port")
        if first is None or (protocol, first) in open_ports(server):
            return True
        if "endPort" in port and any(first <= number <= port["endPort"] for number in ports_of(server).values()):
            return True
    return False


def autoscalers(overlay: Overlay) -> Iterator[str]:
    """Bounds the wrong way round, nothing to scale, or a metric that nobody has."""
    for each in overlay.of("HorizontalPodAutoscaler"):
        spec = each["spec"]
        if fewest(each) > spec["maxReplicas"]:
            yield f"{named(each)}: minReplicas {fewest(each)} is above maxReplicas {spec['maxReplicas']}"
        target = spec["scaleTargetRef"]
        deployment = overlay.named("Deployment", target["name"]) if target["kind"] == "Deployment" else None
        if deployment is None:
            yield f"{named(each)}: there is no {target['kind']}/{target['name']} to scale"
            continue
        for metric in spec.get("metrics") or []:
            if metric["type"] == "Resource":
                if metric["resource"].get("target", {}).get("type") == "Utilization":
                    yield from _unrequested(each, metric["resource"]["name"], deployment)
            elif metric["type"] == "Pods":
                name = metric["pods"]["metric"]["name"]
                if name not in overlay.metrics:
                    yield f"{named(each)}: the server has no metric {name}"
                if name not in overlay.adapter_metrics:
                    yield f"{named(each)}: no rule of the adapter gives the metric {name}"


def fewest(scaler: Object) -> int:
    """The lower bound of an autoscaler; Kubernetes takes 1 where it is left out."""
    bound: int = scaler["spec"].get("minReplicas", 1)
    return bound


def _unrequested(each: Object, resource: str, deployment: Object) -> Iterator[str]:
    for box in pod_spec(deployment)["containers"]:
        if resource not in amounts(box, "requests"):
            yield f"{named(each)}: use of {resource} is a share of the request, and {box['name']} requests none"


def disruption(overlay: Overlay) -> Iterator[str]:
    """A budget that forbids every eviction, so that no node can be drained."""
    for each in overlay.of("PodDisruptionBudget"):
        chosen = {named(pods) for pods in overlay.selected(selector_of(each))}
        least = each["spec"].get("minAvailable")
        for scaler in overlay.of("HorizontalPodAutoscaler"):
            target, replicas = scaler["spec"]["scaleTargetRef"], fewest(scaler)
            share = isinstance(least, str) and least.endswith("%")
            held = math.ceil(int(str(least)[:-1]) * replicas / 100) if share else least
            if f"{target['kind']}/{target['name']}" in chosen and isinstance(held, int) and held >= replicas:
                yield f"{named(each)}: minAvailable {least} of {replicas} replicas forbids every eviction"
        if each["spec"].get("maxUnavailable") in (0, "0%"):
            yield f"{named(each)}: maxUnavailable 0 forbids every eviction"


def monitors(overlay: Overlay) -> Iterator[str]:
    """A ServiceMonitor that finds no Service, port or path, or asks with TLS."""
    for each in overlay.of("ServiceMonitor"):
        selector = selector_of(each)
        services = [one for one in overlay.of("Service") if finds(selector, labels(one))]
        if not selector or not services:
            yield f"{named(each)}: the selector {wanted(selector)} does not find the Service"
        job = each["spec"].get("jobLabel")
        for service in services:
            if job and job not in labels(service):
                yield f"{named(each)}: the jobLabel {job} is no label of {named(service)}"
        found = {port.get("name") for service in services for port in service["spec"].get("ports") or []}
        for endpoint in each["spec"].get("endpoints") or []:
            if services and "port" in endpoint and endpoint["port"] not in found:
                yield f'{named(each)}: the Service has no port "{endpoint["port"]}"'
            if endpoint.get("path", "/metrics") not in overlay.paths:
                yield f"{named(each)}: the server does not have the path {endpoint['path']}"
            if endpoint.get("scheme", "http").lower() != "http":
                yield f"{named(each)}: the endpoint uses {endpoint['scheme']}: the server speaks HTTP only"


CHECKS: tuple[Callable[[Overlay], Iterator[str]], ...] = (
    selectors, spread, resources, ports, access, probes, settings, mounts, accounts, autoscalers, disruption, monitors,
    confinement,
)  # fmt: skip
