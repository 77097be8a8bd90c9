"""Answers the rows of a file that somebody gave a page, in the background, within bounds of number, size and time."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool

from ..data.formats import BadRow, Layout, Row, read_rows, understand, unique_names
from ..data.formats.content import REMEDIES
from ..errors import (
    BodyInvalid,
    DataError,
    FormatUnknown,
    NotReady,
    Overloaded,
    PathUnknown,
    PurportError,
    RequestError,
)
from ..predict_file import usable
from ..prediction import AnswerOptions
from ..serving.access import Principal
from ..serving.aside import aside
from ..serving.context import AppContext
from ..serving.dispatch import PENDING
from ..serving.generation import Generation
from ..serving.operations import CLASSIFY, Request, Result
from ..wording import sentence
from .forms import File
from .sheets import Answer, Sheet

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json")
MOST_ROWS = 20_000
_MOST_TIMES = 8  # a file may have so many times the characters that it may have bytes: it may be compressed
_AT_ONCE = 128
_DISK_S = 120.0
_SOON_S = 0.4  # what is answered so soon is shown at once
_MOST, _OF_ONE, _AT_WORK = 64, 8, 2  # sheets in all, of one person, and of one person being answered
_IDLE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Served:
    """A bundle that a page asks: what the person chose it as, and the generation."""

    name: str
    generation: Generation


@dataclass
class Filling:
    """A file and its answers.

    Attributes:
        name: what its address ends with; nobody can guess it.
        title: the name of the file.
        owner: whose it is.
        models: the names of the models, and the ids of their bundles.
        done, total: answers that are there, and all; 0 while the file is read.
        columns: the columns of the file.
        problem: why it could not be answered.
        ready: whether all answers are there.
        seconds: how long that took.
    """

    name: str
    title: str
    owner: str
    models: tuple[tuple[str, str], ...]
    sheet: Sheet
    done: int = 0
    total: int = 0
    columns: tuple[str, ...] = ()
    problem: PurportError | None = None
    ready: bool = False
    seconds: float = 0.0
    last: float = field(default_factory=time.monotonic)
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Fillings:
    """The files of the pages *Batch* and *Compare*. They are deleted after an hour without a visit, and at the end."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._all: OrderedDict[str, Filling] = OrderedDict()
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def get(self, name: str, principal: Principal) -> Filling:
        """The file with this name, if it is of ``principal``.

        Raises:
            PathUnknown: there is none, or it is somebody else's: which of both is not told.
            RequestError: why it could not be answered.
        """
        found = self._all.get(name)
        if found is None or found.owner != principal.id:
            raise PathUnknown("There is nothing under this address. Results are kept for an hour after the last visit.")
        found.last = time.monotonic()
        if found.problem is not None:
            raise found.problem if isinstance(found.problem, RequestError) else PurportError(str(found.problem))
        return found

    async def start(self, file: File, layout: Layout, models: Sequence[Served], principal: Principal) -> Filling:
        """Begin to answer ``file`` by one or two ``models``; waits a moment, in case that is enough.

        Raises:
            Overloaded: the person has other files that are being answered.
            BodyInvalid: the server has no place for it.
        """
        self._forget(principal)
        try:
            sheet = await run_in_threadpool(Sheet, self._place())
        except OSError as error:
            raise BodyInvalid(f"The server cannot keep the file ({error.strerror}).") from None
        said = tuple((each.name, each.generation.bundle.manifest.id) for each in models)
        found = Filling(secrets.token_urlsafe(16), file.name, principal.id, said, sheet)
        self._all[found.name] = found
        found.task = asyncio.create_task(self._run(found, file, layout, models, principal))
        await asyncio.wait([found.task], timeout=_SOON_S)
        return found

    def delete(self, filling: Filling) -> None:
        """Delete a file and its answers."""
        self._all.pop(filling.name, None)
        if filling.task is not None:
            filling.task.cancel()
        filling.sheet.delete()

    def _place(self) -> Path:
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="purport-pages-", ignore_cleanup_errors=True)
        return Path(self._directory.name, f"{secrets.token_hex(8)}.db")

    def _forget(self, principal: Principal) -> None:
        """Delete what nobody looks at, and make room for another file of ``principal``."""
        mine = [each for each in self._all.values() if each.owner == principal.id]
        if sum(each.task is not None and not each.task.done() for each in mine) >= _AT_WORK:
            raise Overloaded("Two of your files are being answered. Wait until one is ready.", 5.0)
        old = [each for each in self._all.values() if time.monotonic() - each.last > _IDLE_S]
        done = [each for each in mine if each.task is None or each.task.done()]
        old += done[: max(0, len(mine) - _OF_ONE + 1)]
        if len(self._all) - len(old) >= _MOST:
            old += [next(iter(self._all.values()))]
        for each in old:
            self.delete(each)

    async def _run(
        self, filling: Filling, file: File, layout: Layout, models: Sequence[Served], principal: Principal
    ) -> None:
        PENDING.set(None)  # nobody's connection: the person may look at another page meanwhile
        began, sheet = time.monotonic(), filling.sheet
        most = self._context.settings.max_bulk_bytes * _MOST_TIMES
        try:
            with ExitStack() as held:
                for each in models:
                    held.enter_context(each.generation)
                filling.columns, rows = await aside(lambda: _read(file, layout, sheet, most), _DISK_S)
                self._context.access.count(principal, rows * len(models))
                filling.total = rows * len(models)
                for at, each in enumerate(models):
                    await self._answer(filling, at, each.generation, principal)
            if len(models) > 1:
                await run_in_threadpool(sheet.compare)
            filling.seconds, filling.ready = time.monotonic() - began, True
        except OSError as error:
            filling.problem = BodyInvalid(f"The server cannot keep the file ({error.strerror}).")
        except DataError as error:
            said = str(error)
            filling.problem = BodyInvalid(f"{said}." if said.startswith(file.name) else sentence(said))
        except PurportError as error:
            filling.problem = error
        except Exception as error:
            structlog.get_logger("purport.ui").exception("failed", title=filling.title)
            filling.problem = PurportError(repr(error))

    async def _answer(self, filling: Filling, at: int, generation: Generation, principal: Principal) -> None:
        """Answer all rows by model number ``at``, a few at a time, so that other clients are answered as well."""
        after, dispatch, client = 0, self._context.dispatch, principal.client
        while rows := await run_in_threadpool(filling.sheet.texts, after, _AT_ONCE):
            await self._context.admission.room(client)
            asked = [dispatch.ask(CLASSIFY, Request(text, _ASKED), generation, client=client) for _, text in rows]
            try:
                results = await asyncio.gather(*asked, return_exceptions=True)
            finally:
                for each in asked:
                    each.cancel()
            answers = [(number, _answer(result)) for (number, _), result in zip(rows, results, strict=True)]
            await run_in_threadpool(filling.sheet.answer, at, answers)
            after = rows[-1][0]
            filling.done += len(rows)


_ASKED = AnswerOptions(top_k=1)


def _answer(result: Result | BaseException) -> Answer | str:
    """The answer in a result, or why there is none."""
    if isinstance(result, RequestError):
        return str(result)
    if isinstance(result, PurportError):
        return "The model failed on this text; the server's log has details."
    if isinstance(result, BaseException):
        raise result
    found: Mapping[str, Any] = json.loads(result.body)
    confidence = found["intents"][0]["confidence"] if found["intents"] else 0.0
    return Answer(tuple(found["labels"]), confidence, found["in_scope"], found["reason"])


def served(context: AppContext, chosen: str) -> Served:
    """What ``chosen`` means: the name of a model, or ``NAME@before`` for its bundle before the last change.

    Raises:
        ModelUnknown, NotReady: there is no such model.
    """
    name, _, which = chosen.partition(BEFORE)
    model = context.store.get(name or None)
    if chosen.endswith(BEFORE) and not which:
        if model.previous is None:
            raise NotReady(f'Model "{model.name}" has had no other bundle since the server started.')
        return Served(f"{model.name}, before the last change", model.previous)
    return Served(model.name, model.current)


BEFORE = "@before"
"""What marks the bundle that a model had before the last change."""


def choices(context: AppContext) -> list[tuple[str, str]]:
    """What can be chosen, and what is shown for it."""
    found = [(each.name, each.name) for each in context.store.all()]
    earlier = [each.name for each in context.store.all() if each.previous is not None]
    return [*found, *((f"{name}{BEFORE}", f"{name}, before the last change") for name in earlier)]


def _read(file: File, layout: Layout, sheet: Sheet, most: int) -> tuple[tuple[str, ...], int]:
    """Put the rows of ``file`` into ``sheet``: its columns, and the number of rows that can be answered.

    Raises:
        DataError: it cannot be read, has too many rows or characters (more than ``most``), or none with a text.
    """
    suffix = Path(file.name).suffix.lower()
    if suffix not in SUFFIXES:
        remedy = REMEDIES.get(suffix, "save it as CSV")
        raise FormatUnknown(f"{file.name}: unknown file format; {remedy}. The name must end in {', '.join(SUFFIXES)}")
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        path = Path(work, f"file{suffix}")
        path.write_bytes(file.content)
        try:
            columns = unique_names(understand(path, layout).columns or layout.columns)
            tally = _Tally()
            sheet.add(tally.rows(read_rows(path, layout), file.name, most))
        except DataError as error:
            raise type(error)(str(error).replace(str(path), file.name)) from None
    if not tally.usable:
        raise DataError(f"{file.name} has no row with a text{tally.first}; choose a table with a column of texts")
    return tuple(columns), tally.usable


class _Tally:
    """Counts rows while they are read."""

    def __init__(self) -> None:
        self.usable, self.first = 0, ""

    def rows(
        self, found: Iterator[Row | BadRow], name: str, most: int
    ) -> Iterator[tuple[str | None, Mapping[str, Any], str | None]]:
        """The rows for a sheet.

        Raises:
            DataError: they are too many, or too long together.
        """
        size = 0
        for number, row in enumerate(map(usable, found), 1):
            if number > MOST_ROWS:
                raise DataError(f"{name} has more than {MOST_ROWS:,} rows; split it, or use purport predict")
            size += sum(len(str(cell)) for cell in row.cells.values())
            if size > most:
                raise DataError(f"{name} is too large; split it, or use purport predict")
            if isinstance(row, BadRow):
                self.first = self.first or f" (row {row.number}: {row.problem})"
                yield None, row.cells, f"Row {row.number} {row.problem}"
                continue
            self.usable += 1
            yield row.text, row.cells, None
