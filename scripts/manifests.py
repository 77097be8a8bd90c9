"""Render the Kubernetes overlays, validate every object against the schemas, and check what schemas cannot tell.

    python scripts/manifests.py                                     # every overlay
    python scripts/manifests.py deploy/kubernetes/overlays/cpu

Exits with 1 and one line per problem. Needs kubectl 1.27 or newer, or kustomize 5 or newer; asks no cluster.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from fastapi import FastAPI
from kubernetes_validate import utils as schemas
from manifest_checks import problems
from manifest_objects import Object, Overlay, named
from packaging.version import Version

from purport.serving import counters
from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.settings import ServerSettings

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "kubernetes"
OLDEST = Version("1.29")
NEEDED = "kubectl 1.27 or newer, or kustomize 5 or newer"


def main() -> None:
    folders = [Path(name) for name in sys.argv[1:]] or overlays()
    found = [f"{folder.name}: {problem}" for folder in folders for problem in check(render(folder))]
    if found:
        sys.exit("\n".join(found))
    print(f"{len(folders)} overlays are sound: {', '.join(folder.name for folder in folders)}")


def overlays() -> list[Path]:
    """The folder of each overlay."""
    return sorted(path.parent for path in FOLDER.glob("overlays/*/kustomization.yaml"))


def render(folder: Path) -> list[Object]:
    """The objects that ``kubectl apply -k`` would send."""
    kubectl, kustomize = shutil.which("kubectl"), shutil.which("kustomize")
    if not kubectl and not kustomize:
        sys.exit(f"Rendering the Kubernetes overlays needs {NEEDED}; neither is on PATH.")
    command = [kustomize, "build"] if kustomize else [str(kubectl), "kustomize"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} {folder} failed; it must be {NEEDED}.\n{done.stderr.strip()}")
    return list(yaml.safe_load_all(done.stdout))


def check(objects: list[Object]) -> list[str]:
    """What is wrong with the objects of one overlay."""
    return [*schema_problems(objects), *problems(overlay_of(objects))]


def schema_problems(objects: list[Object]) -> Iterator[str]:
    """What the schema of each Kubernetes version says, unknown fields included."""
    for each in objects:
        if each["kind"] == "ServiceMonitor":
            yield from _monitor_problems(each)
            continue
        for version in versions():
            try:
                kubernetes_validate.validate(each, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{named(each)}: Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield f"{named(each)}: {error.message}"


def versions() -> list[str]:
    """The Kubernetes versions that every object must be valid for."""
    return [version for version in schemas.all_versions() if Version(version) >= OLDEST]


def _monitor_problems(each: Object) -> Iterator[str]:
    validator = jsonschema.Draft202012Validator(json.loads((FOLDER / "servicemonitor.schema.json").read_text("utf-8")))
    for error in validator.iter_errors(each):
        yield f"{named(each)}: {'.'.join(map(str, error.path))}: {error.message}"


def overlay_of(objects: list[Object]) -> Overlay:
    """The objects beside what they have to fit."""
    return Overlay(objects, *server_facts(), adapter_metrics())


@cache
def server_facts() -> tuple[frozenset[str], frozenset[str]]:
    """The paths that the server answers to GET, and the names of its metrics."""
    app: Any = create_app(AppContext.of(ServerSettings(), {"atis": "atis"}, workers=1))
    while not isinstance(app, FastAPI):  # layers around it
        app = app._app
    paths = app.openapi()["paths"]
    metrics = {family.name for family in counters.REGISTRY.collect()}
    return frozenset(path for path, methods in paths.items() if "get" in methods), frozenset(metrics)


def adapter_metrics() -> frozenset[str]:
    """The metrics that the rules for prometheus-adapter give the autoscaler."""
    adapter = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text("utf-8"))
    return frozenset(rule["name"]["as"] for rule in adapter["rules"]["custom"])


if __name__ == "__main__":
    main()
