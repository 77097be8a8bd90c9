"""The pool of worker processes: it starts them, sends them batches, watches them and restarts them if they die."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

import structlog

from ..errors import BundleUnsupported, PurportError
from ..signature import PublicKeys
from ..spending import SharedSpending
from . import counters
from .generation import Generation
from .handle import Handle
from .patience import SILENT, Patience
from .queue import Item
from .wire import Do, Done, Drop, Loaded, Message, pack, read

# If a worker dies sooner than this after it has loaded its models, the pause before the next restart doubles.
_SETTLED_S = 5.0
_LONGEST_PAUSE_S = 30.0
# Pauses before a model that could not be loaded is tried again: the first, then twice as long each time.
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0
# Environment of workers, unless the server's environment overrides it; measured in docs/decisions/0010 and 0011.
_ENVIRONMENT = {
    # Return the memory of a dropped model to the system (glibc's malloc; others ignore this).
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    # tokenizers would process even a single text in its own threads, one per core, and wait for them.
    "TOKENIZERS_PARALLELISM": "false",
}
_MOST_OUTPUT, _LAST_WORDS_S = 4096, 1.0
_LOADING = "loading"  # the complaint about a worker whose load never ends, for which no text is to blame
_BATCHES = itertools.count()


@dataclass(frozen=True)
class Events:
    """Callbacks of a pool.

    ``done`` gets the items of a batch, the results and the seconds it took; ``lost`` gets the items of the batch that
    a worker had when it died, and ``suspect``: whether they may have killed it.
    """

    idle: Callable[[], None]
    done: Callable[[Sequence[Item], Done, float], None]
    lost: Callable[..., None]
    loaded: Callable[[int, PurportError | None], None]


class Pool:
    """``size`` workers, each of which loads every requested generation."""

    def __init__(
        self, size: int, device: str, threads: int, *, signed_by: PublicKeys | None = None, deadline_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.restarts = 0
        self.size = size
        self._patience = Patience.of(deadline_s)
        self.device, self.signed_by = device, signed_by
        keys = signed_by.to_text() if signed_by else ""
        self._arguments = (device, str(threads), str(self._patience.tick_s), keys)
        self._clock = clock
        self._spending: SharedSpending | None = None
        self._workers: list[Handle] = []
        self._generations: dict[int, Generation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("purport.workers")

    def start(self, events: Events) -> None:
        """Start the workers and keep them running; ``events`` are called as things happen."""
        self._events, self._spending = events, SharedSpending.new()
        counters.RESTARTS.set_function(lambda: self.restarts)
        for _ in range(self.size):
            self._spawn(self._keep_running())
        self._spawn(self._watch())

    async def stop(self) -> None:
        """Stop the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._ending, return_exceptions=True)
        if self._spending is not None:
            self._spending.close()

    def pids(self) -> list[int]:
        """The process ids of the running workers."""
        return [worker.process.pid for worker in self._workers]

    def able(self, number: int) -> int:
        """The number of workers that have loaded generation ``number``."""
        return sum(number in worker.loaded for worker in self._workers)

    def has(self, number: int) -> bool:
        """Whether any worker has loaded generation ``number``; a loop, because every request asks."""
        for worker in self._workers:  # noqa: SIM110
            if number in worker.loaded:
                return True
        return False

    def idle(self) -> list[Handle]:
        """Workers without a batch."""
        return [worker for worker in self._workers if not worker.items and worker.loaded]

    def load(self, generation: Generation) -> None:
        """Make every worker load ``generation``, including workers that start later."""
        self._generations[generation.number] = generation
        for worker in self._workers:
            worker.load(generation)

    def drop(self, generation: Generation) -> None:
        """Make every worker unload ``generation``."""
        self._generations.pop(generation.number, None)
        for worker in self._workers:
            worker.loaded.discard(generation.number)
            worker.send(Drop(generation.number))

    def give(self, worker: Handle, items: list[Item]) -> None:
        """Make ``worker`` answer ``items``, which all belong to one generation that it has loaded."""
        batch, first = next(_BATCHES), items[0]
        frame = pack(Do(batch, first.generation.number, first.operation, [item.request for item in items]))
        if first.generation.at_once:
            worker.away[batch] = items, self._clock()
        else:
            worker.batch, worker.items, worker.since, worker.pulse.busy = batch, items, self._clock(), 0
        worker.write(frame)

    def _spawn(
        self, work: Coroutine[object, object, None], tasks: set[asyncio.Task[None]] | None = None
    ) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        tasks = self._tasks if tasks is None else tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _keep_running(self) -> None:
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            started, settled_s, replaced = self._clock(), 0.0, False
            try:
                settled_s, replaced = await self._run_one()
            except Exception:
                # Whatever happened, the worker must be restarted.
                self._log.exception("worker lost")
            self.restarts += 1
            if replaced:
                return
            pause = 0.0 if settled_s > _SETTLED_S else min(max(2 * pause, 0.1), _LONGEST_PAUSE_S)
            self._log.error("worker died", lived_s=round(self._clock() - started, 1), restart_in_s=pause)

    async def _run_one(self) -> tuple[float, bool]:
        """Start a worker and handle its messages until it dies.

        Seconds since it had loaded its models; and whether another one has taken its place.
        """
        worker, settled = await self._start(), math.inf
        relaying = asyncio.ensure_future(self._relay(worker.process))
        try:
            for generation in self._generations.values():
                worker.load(generation)
            self._workers.append(worker)
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    self._handle(worker, await read(worker.reader))
                    if settled == math.inf and self._generations.keys() <= worker.loaded:
                        settled = self._clock()
        finally:
            if worker in self._workers:
                self._workers.remove(worker)
            worker.writer.close()
            items, worker.items, away, worker.away = worker.items, [], worker.away, {}
            worker.kill()
            # A bundle that kills workers while they load it must not be loaded again and again.
            for number in self._generations.keys() - worker.loaded:
                self._events.loaded(
                    number, BundleUnsupported("a worker died while it loaded the model; check memory and the log")
                )
            for lost, _ in away.values():
                self._events.lost(lost, suspect=False)
            if items:
                self._events.lost(items, suspect=worker.complaint not in {SILENT, _LOADING})
            # To its end, even if the pool is stopped meanwhile.
            await asyncio.shield(self._spawn(self._end(worker.process, relaying), self._ending))
        return self._clock() - settled, worker.replaced

    async def _relay(self, process: asyncio.subprocess.Process) -> None:
        """Log what a worker's libraries print; a reader of the log that stops reading must not stop the worker."""
        assert process.stdout is not None, "asked for"
        while said := await process.stdout.read(_MOST_OUTPUT):
            self._log.warning("worker output", pid=process.pid, output=said.decode(errors="replace").strip())

    async def _start(self) -> Handle:
        assert self._spending is not None, "the pool was started"
        (ours, theirs), spending = socket.socketpair(), self._spending.descriptor
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "purport.serving.worker", str(theirs.fileno()), str(spending),
                *self._arguments, pass_fds=[theirs.fileno(), spending], env={**_ENVIRONMENT, **os.environ},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # signals of the terminal are for the server
            )  # fmt: skip
            reader, writer = await asyncio.open_connection(sock=ours)
            on_failure.pop_all()
        return Handle(process, reader, writer)

    async def _end(self, process: asyncio.subprocess.Process, relaying: asyncio.Task[None]) -> None:
        """Wait for a process that was killed, and a moment for its last words: another one may hold its pipe open."""
        assert self._spending is not None, "the pool was started"
        await process.wait()
        # In a thread: another worker may be stopped at this moment, and is killed from this loop.
        await asyncio.to_thread(self._spending.lost, process.pid)
        await asyncio.wait([relaying], timeout=_LAST_WORDS_S)
        relaying.cancel()

    def _handle(self, worker: Handle, message: Message) -> None:
        worker.pulse.silent, worker.pulse.heard = 0, True
        match message:
            case Done() as done if done.batch == worker.batch:
                items, worker.items, seconds = worker.items, [], self._clock() - worker.since
                # Send the next batch first, so that the worker does not wait while these clients are answered.
                self._events.idle()
                self._events.done(items, done, seconds)
            case Done() as done if done.batch in worker.away:
                items, since = worker.away.pop(done.batch)
                self._events.done(items, done, self._clock() - since)
                self._events.idle()
            case Loaded(number, failure):
                worker.pulse.loading.pop(number, None)
                if failure:
                    self._log.error("a worker could not load the model", reason=str(failure), pid=worker.process.pid)
                    self._spawn(self._load_later(worker, number))
                elif number in self._generations:
                    worker.loaded.add(number)
                else:  # it was dropped in the meantime
                    worker.send(Drop(number))
                self._events.loaded(number, failure)
                self._events.idle()

    async def _load_later(self, worker: Handle, number: int) -> None:
        """Try again to load what failed, unless it was dropped meanwhile: memory or a file may be there by then."""
        pause = min(_FIRST_RETRY_S * 2 ** worker.failures[number], _LONGEST_RETRY_S)
        worker.failures[number] += 1
        await asyncio.sleep(pause)
        generation = self._generations.get(number)
        if generation and worker in self._workers and number not in {*worker.loaded, *worker.pulse.loading}:
            self._log.info("loading the model again", pid=worker.process.pid, after_s=pause)
            worker.load(generation)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._patience.tick_s)
            for worker in self._workers:
                worker.pulse.tick(busy=bool(worker.items))
                complaint = self._patience.complaint(worker.pulse)
                if not complaint and (worker.replaced or self._patience.lingers(worker.pulse)):
                    if self._can_spare(worker):
                        complaint = _LOADING
                    elif self.size == 1 and not worker.replaced:  # with more, one that is started is as good
                        worker.replaced = True
                        self._spawn(self._keep_running())
                if complaint and not worker.killed:
                    worker.complaint = complaint
                    self._log.error("worker is stuck", pid=worker.process.pid, complaint=complaint)
                    worker.kill()

    def _can_spare(self, worker: Handle) -> bool:
        """Whether the others have all models that ``worker`` has."""
        others = (each for each in self._workers if each is not worker and not each.killed)
        return worker.loaded <= {number for each in others for number in each.loaded}
