"""The rendered objects of an overlay, and what its pods, containers and selectors say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Port = tuple[str, str | int]
"""Protocol, and name or number."""
_UNITS = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


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

    def selected(self, selector: Object) -> list[Object]:
        """The Deployments whose pods ``selector`` finds."""
        return [each for each in self.of("Deployment") if finds(selector, pod_labels(each))]


def named(each: Object) -> str:
    """Kind and name, as kubectl writes them."""
    return f"{each['kind']}/{each['metadata']['name']}"


def labels(each: Object) -> dict[str, str]:
    """The labels of an object."""
    return each.get("metadata", {}).get("labels") or {}


def pod_labels(deployment: Object) -> dict[str, str]:
    """The labels of its pods."""
    return labels(deployment["spec"]["template"])


def selector_of(each: Object) -> Object:
    """How an object chooses pods, with ``matchLabels`` and ``matchExpressions`` as Deployments write it."""
    spec = each.get("spec", {})
    if each["kind"] == "Service":
        return {"matchLabels": spec.get("selector") or {}}
    chosen: Object = spec.get("podSelector" if each["kind"] == "NetworkPolicy" else "selector") or {}
    return chosen


def finds(selector: Object, found: dict[str, str]) -> bool:
    """Whether something with the labels ``found`` is selected."""
    tests = {
        "In": lambda rule: found.get(rule["key"]) in rule["values"],
        "NotIn": lambda rule: found.get(rule["key"]) not in rule["values"],
        "Exists": lambda rule: rule["key"] in found,
        "DoesNotExist": lambda rule: rule["key"] not in found,
    }
    rules = selector.get("matchExpressions") or []
    return wanted(selector).items() <= found.items() and all(tests[rule["operator"]](rule) for rule in rules)


def wanted(selector: Object) -> dict[str, str]:
    """The labels that a selector names."""
    return selector.get("matchLabels") or {}


def pod_spec(deployment: Object) -> Object:
    """What its pods are."""
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


def server_of(deployment: Object) -> Object:
    """The container that serves: the one called ``server``, else the first."""
    boxes: list[Object] = pod_spec(deployment)["containers"]
    return next((box for box in boxes if box["name"] == "server"), boxes[0])


def boxes_of(deployment: Object) -> Iterator[Object]:
    """Every container of its pods, init containers first."""
    yield from pod_spec(deployment).get("initContainers") or []
    yield from pod_spec(deployment)["containers"]


def ports_of(*boxes: Object) -> dict[str, int]:
    """The ports of containers by name, or by number where they have no name."""
    found = [port for box in boxes for port in box.get("ports") or []]
    return {port.get("name", str(port["containerPort"])): port["containerPort"] for port in found}


def open_ports(*boxes: Object) -> set[Port]:
    """Each port of containers, once by number and once by name."""
    found = [port for box in boxes for port in box.get("ports") or []]
    return {
        (port.get("protocol", "TCP"), port[key]) for port in found for key in ("containerPort", "name") if key in port
    }


def amounts(box: Object, part: str) -> dict[str, str | int]:
    """The ``requests`` or ``limits`` of a container."""
    return (box.get("resources") or {}).get(part) or {}


def quantity(text: str | int) -> float:
    """A Kubernetes quantity such as ``500m`` or ``512Mi`` as a number.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-z]*)", str(text))
    if not found or found[2] not in _UNITS:
        raise ValueError(f'"{text}" is no quantity; write for example 500m or 512Mi')
    return float(found[1]) * _UNITS[found[2]]


def settings_of(overlay: Overlay, box: Object) -> dict[str, str | None]:
    """The environment of a container; ``None`` stands for what only the cluster knows."""
    found: dict[str, str | None] = {}
    for source in box.get("envFrom") or []:
        config = overlay.named("ConfigMap", source.get("configMapRef", {}).get("name", ""))
        data = (config.get("data") or {}) if config else {}
        found |= {source.get("prefix", "") + name: value for name, value in data.items()}
    for each in box.get("env") or []:
        value = each.get("value") or ""
        found[each["name"]] = None if "valueFrom" in each or "$(" in value else value
    return found
