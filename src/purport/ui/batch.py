"""*Batch* and *Compare*: the rows of a file answered by one model, or by two side by side; filters and a download."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from ..data.formats import Layout
from ..data.formats.columns import DEFAULT_TEXT_COLUMN
from ..errors import BodyInvalid, OptionInvalid
from ..predict_file import renamed
from .filling import Filling, Fillings, choices, served
from .forms import File, Form, read_form
from .given_rows import MOST_ROWS, SUFFIXES, TABLE
from .sheets import BAD, FLIPS, OUT, SURE, UNSURE, Filter, Line
from .site import Site
from .verdicts import joined, why_none

_PAGE = 50
_MOST_CHOICE = 4096  # bytes of a form with one field
PASTED = "Pasted texts.txt"
"""The name of what was pasted instead of a file."""
_KINDS = {
    FLIPS: "answered differently",
    OUT: "out of scope",
    SURE: "in scope",
    UNSURE: "in scope, confidence below 80 %",
    BAD: "not answered",
}
"""What a page says of each kind of rows."""


def pages(site: Site) -> APIRouter:
    """The routes."""
    routes, fillings = site.routes(), Fillings(site.context)
    for part in ("batch", "compare"):
        _part(routes, site, fillings, part)
    return routes


def _part(routes: APIRouter, site: Site, fillings: Fillings, part: str) -> None:
    template, active, two = f"{part}.html.j2", f"/{part}", part == "compare"

    @routes.get(f"/{part}", name=part)
    async def form_page(request: Request) -> Response:
        await site.visitor(request)
        return site.page(
            request, template, active=active, models=choices(site.context), suffixes=SUFFIXES, most=MOST_ROWS
        )

    @routes.post(f"/{part}", name=f"{part}_begin")
    async def begin(request: Request) -> Response:
        principal = await site.visitor(request)
        form = await read_form(request, site.context.settings.max_bulk_bytes, principal.client)
        models = [served(site.context, form.value("model"))]
        if two:
            models.append(served(site.context, form.value("other")))
            if models[0].generation is models[1].generation:
                raise OptionInvalid("Choose two different models to compare.")
        layout = Layout(form.value("column").strip() or DEFAULT_TEXT_COLUMN, label_column=None, keep_columns=True)
        filling = await fillings.start(_file(form), layout, models, principal)
        return site.redirect(f"/{part}/{filling.name}")

    @routes.get(f"/{part}/{{name}}", name=f"{part}_answers")
    async def answers(request: Request, name: str) -> Response:
        filling = fillings.get(name, await site.visitor(request))
        if not filling.ready:
            return site.page(request, "making.html.j2", active=active, job=filling)
        chosen, at = _filter(request, two), _at(request)
        values = await run_in_threadpool(_values, filling, chosen, at)
        return site.page(request, "answers.html.j2", active=active, part=part, filling=filling, two=two, **values)

    @routes.get(f"/{part}/{{name}}/answers.csv", name=f"{part}_download")
    async def download(request: Request, name: str) -> Response:
        filling = fillings.get(name, await site.visitor(request))
        content = await run_in_threadpool(_csv, filling, _filter(request, two))
        return site.download(content, f"{part}-{TABLE}", "text/csv")

    @routes.post(f"/{part}/{{name}}/encoding", name=f"{part}_encoding")
    async def encoding(request: Request, name: str) -> Response:
        principal = await site.visitor(request)
        form = await read_form(request, _MOST_CHOICE)
        filling = await fillings.again(name, principal, form.value("encoding"))
        return site.redirect(f"/{part}/{filling.name}")

    @routes.post(f"/{part}/{{name}}/delete", name=f"{part}_delete")
    async def delete(request: Request, name: str) -> Response:
        fillings.delete(fillings.get(name, await site.visitor(request)))
        return site.redirect(f"/{part}")


def _file(form: Form) -> File:
    """The file in the form, or the texts that were pasted, one a line."""
    if (file := form.file()) is not None:
        return file
    pasted = [line.strip() for line in form.value("texts").splitlines() if line.strip()]
    if not pasted:
        raise BodyInvalid("No text arrived. Choose a file with texts, or paste some.")
    # A line of text may have tabs, which would be columns.
    content = "\n".join(["text", *(line.replace("\t", " ") for line in pasted)])
    return File(PASTED, content.encode("utf-8", "replace"))


def _filter(request: Request, two: bool) -> Filter:
    asked = request.query_params
    kind = asked.get("kind", "")
    if kind and (kind not in _KINDS or (kind == FLIPS and not two)):
        raise OptionInvalid(f'"kind" must be one of {", ".join(_KINDS)}.')

    def bound(name: str, default: float) -> float:
        try:
            value = float(asked.get(name) or default * 100) / 100
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise OptionInvalid("A bound of the confidence must be a number from 0 to 100.")
        return value

    return Filter(asked.get("label", ""), kind, bound("above", 0.0), bound("below", 1.0))


def _at(request: Request) -> int:
    asked = request.query_params.get("page", "1")
    return max(1, int(asked)) if asked.isdecimal() and len(asked) < 7 else 1


def _values(filling: Filling, chosen: Filter, at: int) -> dict[str, Any]:
    """What the page shows."""
    sheet = filling.sheet
    shown = sheet.number(chosen)
    last = max(1, -(-shown // _PAGE))
    at = min(at, last)
    query = {name: value for name, value in asdict(chosen).items() if name in ("label", "kind") and value}
    query |= {
        name: f"{value * 100:g}" for name, value in (("above", chosen.above), ("below", chosen.below)) if value % 1
    }
    return {
        "counts": sheet.counts(),
        "labels": sheet.labels(),
        "kinds": _KINDS,
        "pasted": PASTED,
        "chosen": chosen,
        "shown": shown,
        "page": at,
        "pages": last,
        "query": urlencode(query),
        "lines": [_line(line) for line in sheet.lines(chosen, (at - 1) * _PAGE, _PAGE)],
    }


def _line(line: Line) -> dict[str, Any]:
    answers = []
    for at in sorted(line.answers):
        each = line.answers[at]
        why = why_none({"labels": each.labels, "reason": each.reason})
        answers.append(
            {"said": joined(each.labels), "none": not each.labels, "why": why, "confidence": each.confidence}
        )
    return {"line": line, "answers": answers}


def _csv(filling: Filling, chosen: Filter) -> bytes:
    """The rows that are shown, with all their columns and the answers after them, as a CSV file."""
    two = len(filling.models) > 1
    marks = ["", " (other)"] if two else [""]
    answers = [f"{name}{mark}" for mark in marks for name in ("labels", "confidence", "in_scope", "reason")]
    answers += ["differs"] * two + ["error"]
    given = renamed(filling.columns, answers)
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        path = Path(work, TABLE)
        with filling.table.write(path, [*given.values(), *answers], label_delimiter="+") as write:
            for line in filling.sheet.lines(chosen):
                cells: dict[str, Any] = {given[name]: value for name, value in line.cells.items() if name in given}
                cells["error"] = line.problem or ""
                if two:
                    cells["differs"] = "yes" if line.flips else "no"
                for at, each in line.answers.items():
                    found = {"labels": list(each.labels), "confidence": each.confidence, "in_scope": each.in_scope}
                    cells |= {f"{name}{marks[at]}": value for name, value in (found | {"reason": each.reason}).items()}
                write(cells)
        return path.read_bytes()
