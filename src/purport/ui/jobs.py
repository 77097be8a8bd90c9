"""Makes review queues from files that people drop on a page, while they see how far it is."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.hints import Hints
from ..data.spec import DataSpec
from ..errors import BodyInvalid, DataError, Overloaded, PurportError, RequestError
from ..serving.access import Principal
from ..serving.aside import aside
from ..serving.context import AppContext
from ..serving.dispatch import PENDING
from ..serving.generation import Generation
from .background import answers, problem_of
from .encodings import chosen as among
from .encodings import encoding_of
from .forms import File
from .gathering import Given, gather, options_for, texts_of
from .given_rows import Bounds, require_plain, suffix_of
from .picking import Limits

_AT_ONCE = 64
_DISK_S = 120.0
_MOST_JOBS, _MOST_AT_WORK = 100, 2
_MOST_CHARACTERS = 32 * 1024 * 1024


@dataclass
class Job:
    """A queue that is being made.

    Attributes:
        title: the name of the file.
        owner: whose it is; ``client``: who has one share of the server.
        done, total: texts that are classified, and all of them; 0 while the file is read.
        problem: why it could not be made.
        ready: whether the queue is there.
        read: begins to read the file, in an encoding that the person has chosen.
    """

    title: str
    owner: str
    client: str
    done: int = 0
    total: int = 0
    problem: PurportError | None = None
    ready: bool = False
    read: Callable[[str | None], asyncio.Task[None]] | None = field(default=None, repr=False)
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Jobs:
    """The queues that a server is making, by the names that they will have."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._jobs: dict[str, Job] = {}

    def get(self, name: str, principal: Principal) -> Job | None:
        """The job under this name, if it is of ``principal``."""
        job = self._jobs.get(name)
        return job if job is not None and job.owner == principal.id else None

    def start(
        self, target: Path, file: File, models: tuple[str, str | None], principal: Principal, chosen: Limits
    ) -> Job:
        """Begin a queue at ``target`` of ``file``, answered by one model or, to compare, two.

        Raises:
            ModelUnknown, NotReady: there is no such model.
            Overloaded: another file of the person, or of two others, is on its way.
        """
        busy = [each for each in self._jobs.values() if each.task is not None and not each.task.done()]
        if any(each.client == principal.client for each in busy):
            raise Overloaded("Another file of yours is being read. Wait until its queue is ready.", 5.0)
        if len(busy) >= _MOST_AT_WORK:
            raise Overloaded("The server is reading files of other people. Try again in a moment.", 5.0)
        generations = [self._context.store.get(name).current for name in models if name]
        finished = [name for name, each in self._jobs.items() if each.task is None or each.task.done()]
        for name in finished[: max(0, len(self._jobs) - _MOST_JOBS)]:
            del self._jobs[name]
        for each in self._jobs.values():
            if each.owner == principal.id:
                each.read = None  # a file waits for its encoding until its owner sends another one
        job = self._jobs[target.stem] = Job(file.name, principal.id, principal.client)

        def read(encoding: str | None) -> asyncio.Task[None]:
            return asyncio.create_task(self._run(job, target, file, encoding, generations, principal, chosen))

        job.read, job.task = read, read(None)
        return job

    def again(self, name: str, principal: Principal, encoding: str) -> None:
        """Read the file of this job in the ``encoding`` that the person has chosen.

        Raises:
            OptionInvalid: there is no such job, or it waits for no such choice.
        """
        job = self.get(name, principal)
        encoding = among(job.problem if job is not None and job.read is not None else None, encoding)
        assert job is not None and job.read is not None, "it has a problem"
        job.problem, job.task = None, job.read(encoding)

    async def _run(
        self, job: Job, target: Path, file: File, encoding: str | None, generations: list[Generation],
        principal: Principal, chosen: Limits,
    ) -> None:  # fmt: skip
        PENDING.set(None)  # nobody's connection: the person may look at another page meanwhile
        try:
            with ExitStack() as held:
                for generation in generations:
                    held.enter_context(generation)
                hints = Hints.of(generations[0].bundle)
                said: list[str] = []
                given, bad = await aside(lambda: _read(file, hints, encoding, said.append), _DISK_S)
                self._context.access.count(principal, len(given) * len(generations))
                job.total = len(given) * len(generations)
                found = [await self._answers(job, given, each, principal) for each in generations]
                bundles = [each.bundle for each in generations]
                others = (bundles[1], found[1]) if len(bundles) > 1 else None
                await aside(
                    lambda: gather(
                        target, job.title, given, found[0], bundles[0], others=others, chosen=chosen,
                        owner=principal.id, bad=bad, said=said,
                    ),
                    _DISK_S,
                )  # fmt: skip
            job.ready, job.read = True, None
        except OSError as error:
            job.problem = BodyInvalid(f"The queue cannot be saved on the server ({error.strerror}); set review_dir.")
        except Exception as error:
            job.problem = problem_of(error, job.title)

    async def _answers(
        self, job: Job, given: list[Given], generation: Generation, principal: Principal
    ) -> list[Mapping[str, Any]]:
        """The answers to all texts, a few at a time, so that other clients are answered as well."""
        options, found = options_for(generation.bundle), []
        for start in range(0, len(given), _AT_ONCE):
            texts = [each.text for each in given[start : start + _AT_ONCE]]
            for result in await answers(self._context, texts, options, generation, principal.client):
                if isinstance(result, BaseException):
                    raise result
                found.append(json.loads(result.body))
            job.done += len(texts)
        return found


def _read(
    file: File, hints: Hints, encoding: str | None, say: Callable[[str], None] | None = None
) -> tuple[list[Given], int]:
    """The texts of a file that somebody sent; its name says what it is. ``say``: see :func:`~.gathering.texts_of`.

    Raises:
        EncodingUnclear: the person must say in which encoding it is.
        DataError: it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        path = Path(work, f"file{suffix_of(file.name)}")
        path.write_bytes(file.content)
        try:
            require_plain(path, file.name)
            encoding = encoding_of(path, file.name, hints, encoding)
            named = DataSpec(name=file.name, unlabelled="out_of_scope", encoding=encoding)
            reading = hints.reading(named, several=True)
            bounds = Bounds(file.name, _MOST_CHARACTERS, time.monotonic() + _DISK_S)
            return texts_of(path, reading, file.name, bounds, say)
        except DataError as error:
            raise type(error)(str(error).replace(str(path), file.name)) from None


def unfinished(job: Job | None) -> bool:
    """Whether there is nothing to look at yet."""
    return job is not None and not job.ready


def raise_problem(job: Job) -> None:
    """Raise why the queue could not be made, if so.

    Raises:
        RequestError: what the person can mend; any other error is a defect.
    """
    if job.problem is not None:
        raise job.problem if isinstance(job.problem, RequestError) else PurportError(str(job.problem))
