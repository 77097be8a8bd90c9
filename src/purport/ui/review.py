"""*Review*: texts that a person decides on, one page each; every decision names the version that the person saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response

from ..errors import EntryChanged, OptionInvalid, did_you_mean
from ..prediction import in_words
from ..serving.body import parse_object, read_body
from ..serving.routes.models import who
from ..wording import count
from .blocking import blocking
from .desk import Desk, name_of
from .edits import Edit, edit_of_form, edit_of_json, given_versions, meant, versions_word
from .forms import Form, read_form
from .gathering import DONE, LEFT_OUT, SKIPPED, is_multiclass
from .jobs import Jobs, raise_problem, unfinished
from .ledger import OPEN, REVIEW, Entry, Ledger, shown
from .new_labels import first_unknown, is_unknown, known_labels
from .picking import USUAL, Limits, certainty
from .results import add_results
from .shapes import require_texts
from .site import Site

WHY = {
    "label": "The model does not agree with the label in the file",
    "bundles": "The two models do not agree",
    "out_of_scope": "The model says that none of its labels applies",
    "unsure": "The model is not sure",
    "doubtful": "It was labelled before with low confidence",
}
"""What a page says of each :data:`~purport.ui.picking.Why`."""
_MOST_EDIT = 65_536
_KEYS, _A_PAGE = 5, 100
_LIKELY = 0.5  # below, an answer is more likely wrong than right


def pages(site: Site) -> APIRouter:
    """The routes."""
    routes = site.routes()
    desk, jobs = Desk.of(site.context.settings), Jobs(site.context)
    _queues(routes, site, desk, jobs)
    _texts(routes, site, desk)
    add_results(routes, site, desk)
    return routes


def _queues(routes: APIRouter, site: Site, desk: Desk, jobs: Jobs) -> None:
    @routes.get("/review")
    async def queues(request: Request) -> Response:
        principal = await site.visitor(request)
        found = await desk.all(REVIEW, principal, _progress)
        models, least = site.context.store.all(), USUAL
        return site.page(request, "queues.html.j2", active="/review", queues=found, models=models, least=least)

    @routes.post("/review")
    async def add(request: Request) -> Response:
        principal = await site.visitor(request)
        form = await read_form(request, site.context.settings.max_bulk_bytes, principal.client)
        file = form.needed_file("Choose a table (CSV, TSV, JSON Lines) with texts.")
        target = await desk.new(REVIEW, Path(file.name).stem, principal)
        models = form.value("model") or site.context.store.get().name, form.value("other") or None
        jobs.start(target, file, models, principal, _chosen(form))
        return site.redirect(f"/review/{target.stem}")

    @routes.get("/review/{name}")
    async def queue(request: Request, name: str, page: int = 1) -> Response:
        principal = await site.visitor(request)
        job = jobs.get(name, principal)
        if job is not None and unfinished(job):
            raise_problem(job)
            return site.page(request, "making.html.j2", active="/review", job=job)
        ledger = await desk.get(REVIEW, name, principal)
        progress = await blocking(_progress, ledger)
        pages_ = max(1, -(-progress["all"] // _A_PAGE))
        page = min(max(1, page), pages_)
        entries = await blocking(ledger.entries, start=(page - 1) * _A_PAGE, most=_A_PAGE)
        require_texts(ledger, entries)
        return site.page(
            request, "queue.html.j2", active="/review", name=name, about=ledger.about, progress=progress,
            why=WHY, undo=_undo_of(request), entries=entries, page=page, pages=pages_, left_out=LEFT_OUT,
        )  # fmt: skip

    @routes.post("/review/{name}/encoding")
    async def encoding(request: Request, name: str) -> Response:
        principal = await site.visitor(request)
        jobs.again(name, principal, (await read_form(request, _MOST_EDIT)).value("encoding"))
        return site.redirect(f"/review/{quote(name)}")

    @routes.post("/review/{name}/delete")
    async def delete(request: Request, name: str) -> Response:
        await desk.delete(await desk.get(REVIEW, name, await site.visitor(request)))
        return site.redirect("/review")


def _texts(routes: APIRouter, site: Site, desk: Desk) -> None:
    @routes.get("/review/{name}/next")
    async def following(request: Request, name: str, after: int = 0) -> Response:
        ledger = await desk.get(REVIEW, name, await site.visitor(request))
        return site.redirect(await blocking(_next, ledger, after))

    @routes.get("/review/{name}/{number:entry}")
    async def text(request: Request, name: str, number: int) -> Response:
        ledger = await desk.get(REVIEW, name, await site.visitor(request))
        values = await blocking(lambda: _values(ledger, ledger.entry(number)) | _told(request, ledger))
        return site.page(request, "text.html.j2", active="/review", **values)

    @routes.get("/api/review/{name}/labels")
    async def labels(request: Request, name: str) -> Response:
        ledger = await desk.get(REVIEW, name, await site.visitor(request))
        return site.labels(await blocking(known_labels, ledger))

    @routes.post("/review/{name}/{number:entry}")
    async def decide_by_form(request: Request, name: str, number: int) -> Response:
        principal = await site.visitor(request)
        ledger = await desk.get(REVIEW, name, principal)
        form = await read_form(request, _MOST_EDIT)
        edit = edit_of_form(form, number)
        asked = await blocking(first_unknown, ledger, edit.labels or (), edit.new)
        if asked is not None:
            return site.redirect(f"/review/{quote(name)}/{number}?{urlencode({'new': asked})}")
        try:
            done = await blocking(_carry_out, ledger, number, edit, who(principal))
            return site.redirect(done["next"])
        except EntryChanged:
            return site.redirect(f"/review/{quote(name)}/{number}?{urlencode({'changed': _said(edit)})}")

    @routes.put("/api/review/{name}/{number:entry}")
    async def decide(request: Request, name: str, number: int) -> Response:
        principal = await site.visitor(request)
        ledger = await desk.get(REVIEW, name, principal)
        body = parse_object(await read_body(request.scope, request.receive, _MOST_EDIT), '{"versions": {"1": 0}, …}')
        edit = edit_of_json(body, number)
        return site.json(await blocking(_carry_out, ledger, number, edit, who(principal)))


def _carry_out(ledger: Ledger, number: int, edit: Edit, by: str) -> dict[str, Any]:
    """Carry out ``edit``; where to go next, and what would undo it.

    Raises:
        EntryChanged: somebody else was faster.
        OptionInvalid: the labels cannot be these.
    """
    if edit.action == "undo":
        entries = ledger.undo(edit.versions, by)
        return {"entries": [shown(each) for each in entries], "next": f"/review/{quote(name_of(ledger))}/{number}"}
    if edit.action == "skip":
        entries = ledger.decide(edit.versions, SKIPPED, {}, by)
    else:
        if edit.labels is None:
            suggested = _suggested(ledger, [ledger.entry(each) for each in edit.versions])
            edit = replace(edit, labels=None if suggested is None else tuple(suggested))
        edit = replace(edit, labels=_checked(ledger, edit))
        entries = ledger.decide(edit.versions, DONE, {"labels": list(edit.labels or ())}, by)
    undo = versions_word({each.id: each.version for each in entries})
    query = urlencode({"did": _said(edit, len(entries)), "undo": undo, "from": number})
    return {"entries": [shown(each) for each in entries], "undo": undo, "next": f"{_next(ledger, number)}?{query}"}


def _checked(ledger: Ledger, edit: Edit) -> tuple[str, ...]:
    labels = edit.labels
    if labels is None:
        raise OptionInvalid('Choose a label first, or "None of these".')
    known = known_labels(ledger)
    labels = tuple(meant(label, known) for label in labels)
    if (label := first_unknown(ledger, labels, edit.new)) is not None:
        raise is_unknown(ledger, label)
    if is_multiclass(ledger) and len(labels) > 1:
        raise OptionInvalid("A text has one label here; choose one.")
    return tuple(sorted(set(labels)))


def _next(ledger: Ledger, after: int) -> str:
    name, found = quote(name_of(ledger)), ledger.next_open(after)
    return f"/review/{name}" if found is None else f"/review/{name}/{found}"


def _said(edit: Edit, number: int = 1) -> str:
    """What was done, for the next page."""
    texts = "this text" if number == 1 else count(number, "text")
    if edit.action == "skip":
        return f"Skipped {texts.replace('this', 'the last')}"
    labels = ", ".join(edit.labels or ()) or "none of these"
    return f"Saved {texts.replace('this', 'the last')} as {labels}"


def _undo_of(request: Request) -> dict[str, str] | None:
    """What the page before did, and how it is undone."""
    asked = request.query_params
    try:
        given_versions(asked.get("undo", ""))
        origin = str(int(asked.get("from", "0")))
    except (ValueError, OptionInvalid):
        return None
    return {"did": asked.get("did", "")[:300], "undo": asked["undo"], "from": origin} if asked.get("undo") else None


def _told(request: Request, ledger: Ledger) -> dict[str, Any]:
    asked, known = request.query_params, known_labels(ledger)
    new = asked.get("new", "")[:300]
    new = "" if new in known else new
    told = {"changed": asked.get("changed", "")[:300], "new": new, "meant": did_you_mean(new, known) if new else ""}
    return {"undo": _undo_of(request), "known": known, **told}


def _progress(ledger: Ledger) -> dict[str, int]:
    tally = ledger.tally()
    found = {status: tally.get(status, 0) for status in (OPEN, DONE, SKIPPED)}
    return found | {"all": sum(found.values()), "seen": found[DONE] + found[SKIPPED]}


def _values(ledger: Ledger, entry: Entry) -> dict[str, Any]:
    """What the page of one text shows."""
    require_texts(ledger, [entry])
    content, ranked = entry.content, entry.content["ranked"]
    alike = [each for each in ledger.entries(batch=entry.batch, status=OPEN) if each.id != entry.id]
    require_texts(ledger, alike)
    chosen: list[str] = (entry.state or {}).get("labels", []) if entry.status == DONE else []
    confidences: Mapping[str, float] = dict(map(tuple, ranked))
    offered = [label for label, _ in ranked[:_KEYS]]
    offered += [label for label in [*chosen, *(content["labels"] or ())] if label not in offered]
    return {
        "name": name_of(ledger),
        "about": ledger.about,
        "entry": entry,
        "progress": _progress(ledger),
        "multiclass": is_multiclass(ledger),
        "offered": [(label, confidences.get(label)) for label in dict.fromkeys(offered)],
        "chosen": chosen,
        "none": entry.status == DONE and not chosen,
        "suggested": None if entry.status == DONE else _suggested(ledger, [entry, *alike]),
        "alike": alike,
        "why": WHY[content["why"]],
        "reason": in_words(content["reason"]) if content["reason"] else "",
    }


def _suggested(ledger: Ledger, entries: Sequence[Entry]) -> list[str] | None:
    """The labels that all ``entries`` get if the person chooses none; ``None`` if the person must choose.

    That is so where file and models disagree, and where there is no label in the file and the model finds its own
    answer less likely than not.
    """
    require_texts(ledger, entries)
    found: set[tuple[str, ...]] = set()
    for content in (each.content for each in entries):
        found |= {
            tuple(sorted(each))
            for each in (content["labels"], content["decided"], content["other"])
            if each is not None
        }
        intents = [{"label": label, "confidence": value} for label, value in content["ranked"]]
        answer = {"labels": content["decided"], "intents": intents, "in_scope": content["in_scope"]}
        if content["labels"] is None and certainty(answer) < _LIKELY:
            return None
    return list(found.pop()) if len(found) == 1 else None


def _chosen(form: Form) -> Limits:
    def number(name: str, kind: Callable[[str], Any], least: float, most: float, default: Any) -> Any:
        try:
            value = kind(form.value(name) or str(default))
        except ValueError:
            raise OptionInvalid(f'"{name}" must be a number from {least:g} to {most:g}.') from None
        if not least <= value <= most:
            raise OptionInvalid(f'"{name}" must be a number from {least:g} to {most:g}.')
        return value

    most, below = number("most", int, 1, 5000, USUAL.most), number("below", float, 0, 1, USUAL.below)
    return Limits(most, below, all_declined=bool(form.value("all_declined")))
