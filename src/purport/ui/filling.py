"""Answers the rows of a file that somebody gave a page, in the background, within bounds of number, size and time."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from ..data.formats import Format, Layout, format_of
from ..data.hints import Hints
from ..errors import (
    BodyInvalid,
    FormatUnknown,
    NotReady,
    Overloaded,
    PathUnknown,
    PurportError,
    RequestError,
)
from ..prediction import AnswerOptions
from ..serving.access import Principal
from ..serving.aside import aside
from ..serving.context import AppContext
from ..serving.dispatch import PENDING
from ..serving.generation import Generation
from ..serving.operations import Result
from .background import answers, problem_of
from .encodings import chosen
from .forms import File
from .given_rows import TABLE, read_into, suffix_of
from .sheets import Answer, Sheet

_MOST_TIMES = 8  # a file may have so many times the characters that it may have bytes: it may be compressed
_AT_ONCE = 128
_DISK_S = 120.0
_SOON_S = 0.4  # what is answered so soon is shown at once
_MOST, _OF_ONE, _AT_WORK = 64, 8, 2  # sheets in all, of one person, and of one person being answered
_AT_WORK_IN_ALL = 8
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
        table: the format of the answers.
        problem: why it could not be answered.
        ready: whether all answers are there.
        seconds: how long that took.
        read: begins to read and answer the file, in an encoding that the person has chosen.
    """

    name: str
    title: str
    owner: str
    models: tuple[tuple[str, str], ...]
    sheet: Sheet
    done: int = 0
    total: int = 0
    columns: tuple[str, ...] = ()
    table: Format = field(default_factory=lambda: format_of(TABLE), repr=False)
    problem: PurportError | None = None
    ready: bool = False
    seconds: float = 0.0
    last: float = field(default_factory=time.monotonic)
    read: Callable[[str | None], asyncio.Task[None]] | None = field(default=None, repr=False)
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
        found = self._mine(name, principal)
        if found.problem is not None:
            raise found.problem if isinstance(found.problem, RequestError) else PurportError(str(found.problem))
        return found

    def _mine(self, name: str, principal: Principal) -> Filling:
        found = self._all.get(name)
        if found is None or found.owner != principal.id:
            raise PathUnknown("There is nothing under this address. Results are kept for an hour after the last visit.")
        found.last = time.monotonic()
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
            kept = sheet.path.with_suffix(suffix_of(file.name))
            await run_in_threadpool(kept.write_bytes, file.content)  # not in memory until it is read
        except FormatUnknown as error:
            raise BodyInvalid(f"{error}.") from None
        except (OSError, sqlite3.Error) as error:
            raise BodyInvalid(f"The server cannot keep the file ({_said(error)}).") from None
        said = tuple((each.name, each.generation.bundle.manifest.id) for each in models)
        found = Filling(secrets.token_urlsafe(16), file.name, principal.id, said, sheet)
        self._all[found.name] = found

        def read(encoding: str | None) -> asyncio.Task[None]:
            return asyncio.create_task(self._run(found, kept, replace(layout, encoding=encoding), models, principal))

        found.read, found.task = read, read(None)
        asyncio.get_running_loop().call_later(_IDLE_S, self._expire, found)
        await asyncio.wait([found.task], timeout=_SOON_S)
        return found

    async def again(self, name: str, principal: Principal, encoding: str) -> Filling:
        """Read the file with this name in the ``encoding`` that the person has chosen.

        Raises:
            PathUnknown: see :meth:`get`.
            OptionInvalid: the file waits for no such choice.
        """
        found = self._mine(name, principal)
        encoding = chosen(found.problem, encoding)
        assert found.read is not None, "set when it was started"
        found.problem, found.task = None, found.read(encoding)
        await asyncio.wait([found.task], timeout=_SOON_S)
        return found

    def delete(self, filling: Filling) -> None:
        """Delete a file and its answers."""
        self._all.pop(filling.name, None)
        if filling.task is not None:
            filling.task.cancel()
        filling.sheet.path.with_suffix(suffix_of(filling.title)).unlink(missing_ok=True)  # it may wait for its encoding
        filling.sheet.delete()

    def _place(self) -> Path:
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="purport-pages-", ignore_cleanup_errors=True)
        return Path(self._directory.name, f"{secrets.token_hex(8)}.db")

    def _expire(self, filling: Filling) -> None:
        """Delete ``filling`` if nobody has looked at it for an hour; otherwise look again later."""
        idle = time.monotonic() - filling.last
        if idle < _IDLE_S:
            asyncio.get_running_loop().call_later(_IDLE_S - idle, self._expire, filling)
        elif self._all.get(filling.name) is filling:
            self.delete(filling)

    def _forget(self, principal: Principal) -> None:
        """Make room for another file of ``principal``."""
        mine = [each for each in self._all.values() if each.owner == principal.id]
        if sum(each.task is not None and not each.task.done() for each in mine) >= _AT_WORK:
            raise Overloaded("Two of your files are being answered. Wait until one is ready.", 5.0)
        if sum(each.task is not None and not each.task.done() for each in self._all.values()) >= _AT_WORK_IN_ALL:
            raise Overloaded("The server is answering files of other people. Try again in a moment.", 5.0)
        done = [each for each in mine if each.task is None or each.task.done()]
        old = done[: max(0, len(mine) - _OF_ONE + 1)]
        if len(self._all) - len(old) >= _MOST:
            old += [next(iter(self._all.values()))]
        for each in old:
            self.delete(each)

    async def _run(
        self, filling: Filling, path: Path, layout: Layout, models: Sequence[Served], principal: Principal
    ) -> None:
        PENDING.set(None)  # nobody's connection: the person may look at another page meanwhile
        began, sheet = time.monotonic(), filling.sheet
        most = self._context.settings.max_bulk_bytes * _MOST_TIMES
        try:
            with ExitStack() as held:
                for each in models:
                    held.enter_context(each.generation)
                hints = Hints.of(models[0].generation.bundle)
                filling.columns, rows, filling.table = await aside(
                    lambda: read_into(path, filling.title, layout, hints, sheet, most), _DISK_S
                )
                self._context.access.count(principal, rows * len(models))
                filling.total = rows * len(models)
                for at, each in enumerate(models):
                    await self._answer(filling, at, each.generation, principal)
            if len(models) > 1:
                await run_in_threadpool(sheet.compare)
            filling.seconds, filling.ready = time.monotonic() - began, True
        except (OSError, sqlite3.Error) as error:
            filling.problem = BodyInvalid(f"The server cannot keep the file ({_said(error)}).")
        except Exception as error:
            filling.problem = problem_of(error, filling.title, field=True)

    async def _answer(self, filling: Filling, at: int, generation: Generation, principal: Principal) -> None:
        """Answer all rows by model number ``at``, a few at a time, so that other clients are answered as well."""
        after = 0
        while rows := await run_in_threadpool(filling.sheet.texts, after, _AT_ONCE):
            texts = [text for _, text in rows]
            results = await answers(self._context, texts, _ASKED, generation, principal.client)
            found = [(number, _answer(result)) for (number, _), result in zip(rows, results, strict=True)]
            await run_in_threadpool(filling.sheet.answer, at, found)
            after = rows[-1][0]
            filling.done += len(rows)


def _said(error: OSError | sqlite3.Error) -> str:
    """What went wrong on the disk, without the path."""
    return error.strerror or "no reason is known" if isinstance(error, OSError) else str(error)


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
    model = context.store.get(chosen.removesuffix(BEFORE) or None)
    if chosen.endswith(BEFORE):
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
