"""*Fix plan*: the corrections that the doctor proposes, each accepted, changed or rejected by a person."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response

from ..data.formats.encoded import encoding_for, is_utf8
from ..data.hints import Hints
from ..doctor.finding import Fix
from ..doctor.plan import read_plan, write_plan
from ..errors import BodyInvalid, DataError, EntryChanged, OptionInvalid
from ..labels import Task
from ..serving.body import parse_object, read_body
from ..serving.routes.models import who
from .blocking import blocking
from .desk import SUFFIX, Desk
from .encodings import encoding_of
from .forms import File, Form, read_form
from .ledger import FIXES, OPEN, Entry, Ledger, shown
from .remedies import said_on_page
from .shapes import require_fixes
from .site import Site
from .waiting import Waiting

ACCEPTED, REJECTED = "accepted", "rejected"
_DECISIONS = {"accept": ACCEPTED, "reject": REJECTED}
ACTIONS = {"drop": "Delete the row", "relabel": "Change its labels", "rewrite": "Change its text",
           "merge": "Rename a label everywhere"}  # fmt: skip
"""What a page says of each action of a fix."""
_MOST_EDIT = 1_048_576
_A_PAGE = 50
_MOST_FIXES, _MOST_CHECKS = 20_000, 50


def pages(site: Site) -> APIRouter:
    """The routes."""
    routes = site.routes()
    desk, waiting = Desk.of(site.context.settings), Waiting()
    _plans(routes, site, desk)
    _given(routes, site, desk, waiting)
    _encodings(routes, site, waiting)
    _decisions(routes, site, desk)
    return routes


def _plans(routes: APIRouter, site: Site, desk: Desk) -> None:
    @routes.get("/fixes")
    async def plans(request: Request) -> Response:
        principal = await site.visitor(request)
        found = await desk.all(FIXES, principal, _progress)
        waiting = [each.name for each in await blocking(desk.plans)]
        return site.page(request, "plans.html.j2", active="/fixes", plans=found, waiting=waiting)

    @routes.get("/fixes/{name}")
    async def plan(request: Request, name: str, show: str = "", page: int = 1) -> Response:
        ledger = await desk.get(FIXES, name, await site.visitor(request))
        values = await blocking(_values, ledger, show, page)
        problem = request.query_params.get("problem", "")[:500]
        return site.page(
            request, "plan.html.j2", active="/fixes", name=name, about=ledger.about, actions=ACTIONS, show=show,
            problem=problem, **values,
        )  # fmt: skip

    @routes.get("/fixes/{name}/plan.csv")
    async def download(request: Request, name: str) -> Response:
        ledger = await desk.get(FIXES, name, await site.visitor(request))
        return site.download(await blocking(_written, ledger), f"{name}.csv", "text/csv")


def _given(routes: APIRouter, site: Site, desk: Desk, waiting: Waiting) -> None:
    def hints() -> Hints:
        """Those of the bundle that is served, if there is only one."""
        models = site.context.store.all()
        return Hints.of(models[0].current.bundle) if len(models) == 1 else Hints.again({})

    @routes.post("/fixes/open")
    async def open_plan(request: Request) -> Response:
        principal = await site.visitor(request)
        asked = (await read_form(request, _MOST_EDIT)).value("plan")
        found = next((each for each in await blocking(desk.plans) if each.name == asked), None)

        async def answer(encoding: str | None) -> Response:
            if found is not None:
                fixes = await blocking(lambda: _read(File(found.name, found.read_bytes()), hints(), encoding))
                await blocking(_create, found.with_suffix(SUFFIX), found.name, fixes, None)
            return site.redirect(f"/fixes/{quote(Path(asked).stem)}" if asked else "/fixes")

        return await waiting.begin(principal, "open", answer)

    @routes.post("/fixes")
    async def add(request: Request) -> Response:
        principal = await site.visitor(request)
        form = await read_form(request, site.context.settings.max_bulk_bytes, principal.client)
        file = form.needed_file("Choose a fix plan (purport doctor --fix-plan).")

        async def answer(encoding: str | None) -> Response:
            fixes = await blocking(_read, file, hints(), encoding)
            target = await desk.new(FIXES, Path(file.name).stem, principal)
            await blocking(_create, target, file.name, fixes, principal.id)
            return site.redirect(f"/fixes/{target.stem}")

        return await waiting.begin(principal, "", answer)


def _encodings(routes: APIRouter, site: Site, waiting: Waiting) -> None:
    async def encoded(request: Request, address: str) -> Response:
        principal = await site.visitor(request)
        return await waiting.again(principal, address, (await read_form(request, _MOST_EDIT)).value("encoding"))

    @routes.post("/fixes/encoding")
    async def added(request: Request) -> Response:
        return await encoded(request, "")

    @routes.post("/fixes/open/encoding")
    async def opened(request: Request) -> Response:
        return await encoded(request, "open")


def _decisions(routes: APIRouter, site: Site, desk: Desk) -> None:
    @routes.put("/api/fixes/{name}/{number:entry}")
    async def decide(request: Request, name: str, number: int) -> Response:
        principal = await site.visitor(request)
        ledger = await desk.get(FIXES, name, principal)
        body = parse_object(await read_body(request.scope, request.receive, _MOST_EDIT), '{"version": 0, …}')
        entry = await blocking(_decide, ledger, number, body, who(principal))
        return site.json({"entry": shown(entry), "progress": await blocking(_progress, ledger)})

    @routes.post("/fixes/{name}/{number:entry}")
    async def decide_by_form(request: Request, name: str, number: int) -> Response:
        principal = await site.visitor(request)
        ledger = await desk.get(FIXES, name, principal)
        form = await read_form(request, _MOST_EDIT)
        query = {"show": form.value("show"), "page": form.value("page", "1")}
        try:
            await blocking(_decide, ledger, number, _of_form(form), who(principal))
        except EntryChanged as error:
            query["problem"] = str(error)
        return site.redirect(f"/fixes/{name}?{urlencode(query)}#fix-{number}")

    @routes.post("/fixes/{name}/rest")
    async def rest(request: Request, name: str) -> Response:
        principal = await site.visitor(request)
        ledger = await desk.get(FIXES, name, principal)
        await blocking(_accept_rest, ledger, who(principal))
        return site.redirect(f"/fixes/{name}")

    @routes.post("/fixes/{name}/delete")
    async def delete(request: Request, name: str) -> Response:
        await desk.delete(await desk.get(FIXES, name, await site.visitor(request)))
        return site.redirect("/fixes")


def _create(target: Path, title: str, fixes: Sequence[Fix], owner: str | None) -> None:
    """Write the plan to ``target``, unless somebody was faster: then it stays as it is."""
    about = {"kind": FIXES, "title": title, "owner": owner, "task": str(Task.MULTILABEL)}
    about |= {"created": datetime.now(UTC).isoformat(timespec="seconds")}
    entries = ((number, fix.model_dump()) for number, fix in enumerate(fixes, 1))
    made = target.with_name(f".{secrets.token_hex(8)}{SUFFIX}")
    try:
        Ledger.create(made, about, entries)
        try:
            os.link(made, target)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            made.replace(target)
    except OSError as error:
        raise BodyInvalid(f"The plan cannot be saved on the server ({error.strerror}); set review_dir.") from None
    finally:
        made.unlink(missing_ok=True)


def _values(ledger: Ledger, show: str, page: int) -> dict[str, Any]:
    """What a page of a plan shows: the fixes with the status or of the check ``show``, or all."""
    checks, progress = ledger.count_by("check"), _progress(ledger)
    if not show:
        chosen, entries = progress["all"], ledger.entries
    elif show in (OPEN, ACCEPTED, REJECTED):
        chosen, entries = progress[show], partial(ledger.entries, status=show)
    else:
        chosen, entries = checks.get(show, 0), partial(ledger.entries_where, "check", show)
    pages_ = max(1, -(-chosen // _A_PAGE))
    page = min(max(1, page), pages_)
    shown_ = entries(start=(page - 1) * _A_PAGE, most=_A_PAGE)
    require_fixes(ledger, shown_)
    return {
        "checks": checks,
        "progress": progress,
        "page": page,
        "pages": pages_,
        "entries": [_fixed(each) for each in shown_],
        "proposed": ledger.count_where("apply", True, OPEN),
    }


def _read(file: File, hints: Hints, encoding: str | None) -> list[Fix]:
    """The fixes in an uploaded plan, read in ``encoding``, or else as it shows or ``hints`` remember.

    Raises:
        EncodingUnclear: the person must say in which encoding it is.
        BodyInvalid: it is no plan.
    """
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        path = Path(work, "plan.csv")
        path.write_bytes(file.content)
        try:
            encoding = encoding_of(path, file.name, hints, encoding) or encoding_for(path, hints.spec.encoding)
            fixes = read_plan(path, encoding=encoding, most=_MOST_FIXES)
        except DataError as error:
            raise BodyInvalid(said_on_page(str(error).replace(str(path), file.name), file.name)) from None
    if not fixes:
        raise BodyInvalid("The plan has no fixes: the doctor proposes nothing for this data.")
    if len({fix.check for fix in fixes}) > _MOST_CHECKS:
        raise BodyInvalid(f"The plan names more than {_MOST_CHECKS} checks, which is more than the doctor has.")
    return fixes


def _written(ledger: Ledger) -> bytes:
    """The plan as ``purport doctor apply`` takes it: what was accepted has ``apply = yes``, everything else ``no``."""
    entries = ledger.entries()
    require_fixes(ledger, entries)
    fixes = [_fix(each) for each in entries]
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        path = Path(work, "plan.csv")
        write_plan(fixes, path)
        return path.read_bytes()


def _fix(entry: Entry) -> Fix:
    return Fix.model_validate(entry.content | (entry.state or {}) | {"apply": entry.status == ACCEPTED})


def _fixed(entry: Entry) -> dict[str, Any]:
    """What a page shows of a fix: what was proposed, or what a person made of it."""
    now = entry.content | {key: value for key, value in (entry.state or {}).items() if key.startswith("new_")}
    return {"entry": entry, "fix": now, "changed": now != entry.content}


def _decide(ledger: Ledger, number: int, body: dict[str, Any], by: str) -> Entry:
    """Carry out ``{"action": "accept", "version": 0, "new_labels": ["…"], "new_text": "…"}``.

    Raises:
        EntryChanged: somebody else was faster.
        OptionInvalid: a field cannot be used.
    """
    version, action = body.get("version"), body.get("action")
    if type(version) is not int:
        raise OptionInvalid('"version" must be the number of the version that was seen.')
    if action == "undo":
        return ledger.undo({number: version}, by)[0]
    if action not in _DECISIONS:
        raise OptionInvalid(f'"action" must be one of {", ".join((*_DECISIONS, "undo"))}.')
    entry = ledger.entry(number)
    require_fixes(ledger, [entry])
    state = _meant(entry.content, body) if action == "accept" else {}
    return ledger.decide({number: version}, _DECISIONS[action], state, by)[0]


def _meant(fix: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """What the person changed of ``fix``; the same rules as for a plan in a file."""
    state: dict[str, Any] = {}
    if not is_utf8(json.dumps([body.get("new_labels"), body.get("new_text")], ensure_ascii=False)):
        raise OptionInvalid("There is half of a character in it; type it again.")
    labels, text = body.get("new_labels"), body.get("new_text")
    if labels is not None and fix["action"] in ("relabel", "merge"):
        if not (isinstance(labels, list) and all(isinstance(each, str) for each in labels)):
            raise OptionInvalid('"new_labels" must be a list of labels.')
        found = sorted({each.strip() for each in labels} - {""})
        if fix["action"] == "merge" and len(found) != 1:
            raise OptionInvalid("Renaming a label needs exactly one new name.")
        state["new_labels"] = found
    if text is not None and fix["action"] == "rewrite":
        if not isinstance(text, str) or not text.strip():
            raise OptionInvalid("The new text is empty. To delete the row, reject this fix and drop the row instead.")
        state["new_text"] = text
    return {name: value for name, value in state.items() if value != fix[name]}


def _of_form(form: Form) -> dict[str, Any]:
    version = form.value("version")
    body: dict[str, Any] = {
        "action": form.value("action"),
        "version": int(version) if version.isdecimal() and len(version) < 11 else None,
    }
    if "new_labels" in form.values:
        body["new_labels"] = form.value("new_labels").splitlines()
    if "new_text" in form.values:
        body["new_text"] = form.value("new_text").replace("\r\n", "\n")
    return body


def _accept_rest(ledger: Ledger, by: str) -> None:
    """Accept what is open and proposed, and reject what is open and not: as the doctor's plan says."""
    for proposed, status in ((True, ACCEPTED), (False, REJECTED)):
        open_ = {each.id: each.version for each in ledger.entries(status=OPEN) if each.content["apply"] is proposed}
        if open_:
            ledger.decide(open_, status, {}, by)


def _progress(ledger: Ledger) -> dict[str, int]:
    tally = ledger.tally()
    found = {status: tally.get(status, 0) for status in (OPEN, ACCEPTED, REJECTED)}
    return found | {"all": sum(found.values()), "seen": found[ACCEPTED] + found[REJECTED]}
