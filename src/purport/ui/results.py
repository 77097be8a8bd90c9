"""What was labelled in a review queue, to take away: as a file, or in a table of one's own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fastapi import APIRouter, Request, Response

from ..errors import BodyInvalid, DataError, OptionInvalid
from ..wording import sentence
from .blocking import blocking
from .desk import Desk
from .forms import read_form
from .gathering import DONE, export
from .ledger import REVIEW, Ledger
from .own_table import merged
from .shapes import require_texts
from .site import Site
from .waiting import Waiting

_EXPORTS = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_MOST_CHOICE = 4096


def add_results(routes: APIRouter, site: Site, desk: Desk) -> None:
    """Add the routes to those of *Review*."""
    waiting = Waiting()

    @routes.get("/review/{name}/export.{kind}")
    async def exported(request: Request, name: str, kind: str) -> Response:
        ledger = await desk.get(REVIEW, name, await site.visitor(request))
        if kind not in _EXPORTS:
            raise OptionInvalid(f"There is no export as {kind}; choose {' or '.join(_EXPORTS)}.")
        content = await blocking(_exported, ledger, kind)
        return site.download(content, f"{name}-reviewed.{kind}", _EXPORTS[kind])

    @routes.post("/review/{name}/into")
    async def into(request: Request, name: str) -> Response:
        principal = await site.visitor(request)
        ledger = await desk.get(REVIEW, name, principal)
        form = await read_form(request, site.context.settings.max_bulk_bytes, principal.client)
        file = form.needed_file("Choose your table of labelled texts.")

        async def answer(encoding: str | None) -> Response:
            content = await blocking(merged, ledger, file, encoding)
            return site.download(content, f"{name}-merged{Path(file.name).suffix.lower()}", "application/octet-stream")

        return await waiting.begin(principal, name, answer)

    @routes.post("/review/{name}/into/encoding")
    async def into_encoded(request: Request, name: str) -> Response:
        principal = await site.visitor(request)
        return await waiting.again(principal, name, (await read_form(request, _MOST_CHOICE)).value("encoding"))


def _exported(ledger: Ledger, kind: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        path = Path(work, f"reviewed.{kind}")
        require_texts(ledger, ledger.entries(status=DONE))
        try:
            export(ledger, path)
        except DataError as error:
            raise BodyInvalid(sentence(str(error))) from None
        return path.read_bytes()
