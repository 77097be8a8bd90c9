"""*Report*: what is known of each model, from its bundle, and the pages of evaluation, exploration and doctor."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from ..bundle import Bundle
from ..contents import read_json
from ..errors import BundleError, PathUnknown
from ..serving.aside import aside
from .site import HEADERS, Site

_POLICY = {
    # The pages have their styles in them. Nothing in them runs, is sent or is loaded, whoever wrote them.
    "Content-Security-Policy": "sandbox allow-same-origin; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
_TYPES = {".html": "text/html", ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png"}
_INDEX = "index.html"
_MOST_BYTES = 32 * 1024 * 1024
_MOST_PAGES, _DEEP = 200, 3
_HEAD = 8192  # bytes of a page in which its title stands
_TITLE = re.compile(rb"<title>(.*?)</title>", re.S | re.I)
_READ_S = 10.0
_METRICS = {
    "subset_accuracy": "Texts with exactly the right labels",
    "accuracy": "Texts with the right label",
    "f1_micro": "F1 over all labels (micro)",
    "f1_macro": "F1, mean over labels (macro)",
    "precision_micro": "Given labels that are right (precision)",
    "recall_micro": "Right labels that are given (recall)",
}
"""The metrics that are shown, where the evaluation has them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page below the directory of reports: its path there, title and time of change."""

    path: str
    title: str
    changed: float


@dataclass(frozen=True, slots=True)
class Known:
    """What the bundle of a model says of itself.

    ``metrics`` are (name, value, low, high); ``labels`` are (label, training rows, result on the split) with the
    precision, recall and number of rows of the result.
    """

    name: str
    bundle: str
    kind: str
    dataset: str
    split: str = ""
    rows: int = 0
    metrics: tuple[tuple[str, float, float | None, float | None], ...] = ()
    labels: tuple[tuple[str, int | None, Mapping[str, Any] | None], ...] = ()


def pages(site: Site) -> APIRouter:
    """The routes."""
    routes = site.routes()
    directory = site.context.settings.reports_dir

    @routes.get("/report")
    async def report(request: Request) -> Response:
        await site.visitor(request)
        found = await aside(lambda: sorted(_pages(directory), key=lambda page: -page.changed), _READ_S)
        bundles = [(each.name, each.current.bundle) for each in site.context.store.all()]
        models = await aside(lambda: [_known(name, bundle) for name, bundle in bundles], _READ_S)
        return site.page(request, "report.html.j2", active="/report", found=found, models=models, directory=directory)

    @routes.get("/report/page/{path:path}")
    async def page(request: Request, path: str) -> Response:
        await site.visitor(request)
        content, kind = await aside(lambda: _content(directory, path), _READ_S)
        return Response(content, 200, HEADERS | _POLICY, kind)

    return routes


def _pages(directory: str) -> Iterator[Found]:
    """The pages below ``directory``, a few levels deep; links are not followed."""
    if not directory:
        return
    root, number = Path(directory), 0
    for folder, below, names in os.walk(root):
        here = Path(folder).relative_to(root)
        below[:] = sorted(name for name in below if not name.startswith(".")) if len(here.parts) < _DEEP else []
        if _INDEX in names:
            file = Path(folder, _INDEX)
            try:
                with file.open("rb") as stream:
                    title = _TITLE.search(stream.read(_HEAD))
                changed = file.stat().st_mtime
            except OSError:
                continue
            said = unescape(title[1].decode("utf-8", "replace")).strip() if title else str(here)
            yield Found((here / _INDEX).as_posix(), said, changed)
            number += 1
            if number == _MOST_PAGES:
                return


def _content(directory: str, path: str) -> tuple[bytes, str]:
    """Content and media type of the file ``path`` below ``directory``.

    Raises:
        PathUnknown: there is none, it lies elsewhere once links are followed, or it is none of a report.
    """
    unknown = PathUnknown("There is no such page.")
    parts = Path(path).parts
    kind = _TYPES.get(Path(path).suffix.lower())
    if not directory or kind is None or "\0" in path or any(part.startswith((".", "/", "\\")) for part in parts):
        raise unknown
    try:
        root = Path(directory).resolve(strict=True)
        file = root.joinpath(*parts).resolve(strict=True)
        if not file.is_relative_to(root) or not file.is_file() or file.stat().st_size > _MOST_BYTES:
            raise unknown
        return file.read_bytes(), kind
    except (OSError, ValueError):
        raise unknown from None


def _known(name: str, bundle: Bundle) -> Known:
    """What the bundle says; as much of it as can be read."""
    manifest = bundle.manifest
    plain = Known(name, manifest.id, manifest.kind, manifest.provenance.dataset)
    splits, rows = _read(bundle, "evaluation.json"), _read(bundle, "data.json").get("labels", {})
    split = next((each for each in ("test", "valid") if each in splits), "")
    try:
        found: Mapping[str, Any] = splits[split] if split else {"n": 0, "metrics": {}, "labels": {}}
        metrics = tuple(
            (said, each["value"], each["low"], each["high"])
            for key, said in _METRICS.items()
            if (each := found["metrics"].get(key)) and each["value"] is not None
        )
        labels = tuple((label, rows.get(label), found["labels"].get(label)) for label in manifest.labels)
        return Known(plain.name, plain.bundle, plain.kind, plain.dataset, split, int(found["n"]), metrics, labels)
    except (LookupError, TypeError, ValueError, AttributeError):
        return plain


def _read(bundle: Bundle, file: str) -> dict[str, Any]:
    try:
        found = read_json(bundle.path, file)
    except (BundleError, OSError):
        return {}
    return found if isinstance(found, dict) else {}
