"""The pool of worker processes: it starts them, sends them batches, watches them and restarts them if they die."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

import structlog

from ..errors import BundleUnsupported, PurportError
from . import counters
from .generation import Generation
from .queue import Item
from .wire import Do, Done, Drop, Load, Loaded, pack, read

# A worker that has been busy with one batch for longer than this is considered stuck.
_STUCK_S = 30.0
_WATCH_S = 1.0
# If a worker dies sooner than this after its start, the pause before the next restart doubles.
_SETTLED_S = 5.0
_LONGEST_PAUSE_S = 30.0
# Environment of workers, unless the server's environment overrides it; measured in docs/decisions/0010 and 0011.
_ENVIRONMENT = {
    # Return the memory of a dropped model to the system (glibc's malloc; others ignore this).
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    # tokenizers would process even a single text in its own threads, one per core, and wait for them.
    "TOKENIZERS_PARALLELISM": "false",
}
_BATCHES = itertools.count()


@dataclass(eq=False)
class Handle:
    """The server's view of one worker."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    loaded: set[int] = field(default_factory=set)
    batch: int = -1
    items: list[Item] = field(default_factory=list)
    since: float = 0.0

    def send(self, message: object) -> None:
        """Queue a message."""
        self.write(pack(message))

    def write(self, frame: bytes) -> None:
        """Queue a packed message; the reader notices if the worker has died."""
        with contextlib.suppress(RuntimeError):  # raised by uvloop for a broken pipe
            self.writer.write(frame)


@dataclass(frozen=True)
class Events:
    """Callbacks of a pool.

    ``done`` gets the items of a batch, the results and the seconds it took; ``lost`` gets the items of the batch that
    a worker had when it died.
    """

    idle: Callable[[], None]
    done: Callable[[Sequence[Item], Done, float], None]
    lost: Callable[[Sequence[Item]], None]
    loaded: Callable[[int, PurportError | None], None]


class Pool:
    """``size`` workers, each of which loads every requested generation."""

    def __init__(self, size: int, device: str, threads: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.restarts = 0
        self.size = size
        self.device = device
        self._arguments = (device, str(threads))
        self._clock = clock
        self._workers: list[Handle] = []
        self._generations: dict[int, Generation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("purport.workers")

    def start(self, events: Events) -> None:
        """Start the workers and keep them running; ``events`` are called as things happen."""
        self._events = events
        counters.RESTARTS.set_function(lambda: self.restarts)
        for _ in range(self.size):
            self._spawn(self._keep_running())
        self._spawn(self._watch())

    async def stop(self) -> None:
        """Stop the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def pids(self) -> list[int]:
        """The process ids of the running workers."""
        return [worker.process.pid for worker in self._workers]

    def able(self, number: int) -> int:
        """The number of workers that have loaded generation ``number``."""
        return sum(number in worker.loaded for worker in self._workers)

    def idle(self) -> list[Handle]:
        """Workers without a batch."""
        return [worker for worker in self._workers if not worker.items and worker.loaded]

    def load(self, generation: Generation) -> None:
        """Make every worker load ``generation``, including workers that start later."""
        self._generations[generation.number] = generation
        for worker in self._workers:
            worker.send(_load(generation))

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
        worker.batch, worker.items, worker.since = batch, items, self._clock()
        worker.write(frame)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_running(self) -> None:
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            started = self._clock()
            try:
                await self._run_one()
            except Exception:
                # Whatever happened, the worker must be restarted.
                self._log.exception("worker lost")
            lived = self._clock() - started
            self.restarts += 1
            pause = 0.0 if lived > _SETTLED_S else min(max(2 * pause, 0.1), _LONGEST_PAUSE_S)
            self._log.error("worker died", lived_s=round(lived, 1), restart_in_s=pause)

    async def _run_one(self) -> None:
        """Start a worker and handle its messages until it dies."""
        worker = await self._start()
        try:
            for message in [_load(generation) for generation in self._generations.values()]:
                worker.send(message)
            self._workers.append(worker)
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    self._handle(worker, await read(worker.reader))
        finally:
            if worker in self._workers:
                self._workers.remove(worker)
            worker.writer.close()
            items, worker.items = worker.items, []
            _kill(worker)
            # A bundle that kills workers while they load it must not be loaded again and again.
            for number in self._generations.keys() - worker.loaded:
                self._events.loaded(
                    number, BundleUnsupported("a worker died while it loaded the model; check memory and the log")
                )
            if items:
                self._events.lost(items)
            await worker.process.wait()

    async def _start(self) -> Handle:
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "purport.serving.worker", str(theirs.fileno()), *self._arguments,
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, env={**_ENVIRONMENT, **os.environ},
            )  # fmt: skip
            reader, writer = await asyncio.open_connection(sock=ours)
            on_failure.pop_all()
        return Handle(process, reader, writer)

    def _handle(self, worker: Handle, message: object) -> None:
        match message:
            case Done() as done if done.batch == worker.batch:
                items, worker.items, seconds = worker.items, [], self._clock() - worker.since
                # Send the next batch first, so that the worker does not wait while these clients are answered.
                self._events.idle()
                self._events.done(items, done, seconds)
            case Loaded(number, failure):
                if failure:
                    self._log.error("a worker could not load the model", reason=str(failure))
                elif number in self._generations:
                    worker.loaded.add(number)
                else:  # it was dropped in the meantime
                    worker.send(Drop(number))
                self._events.loaded(number, failure)
                self._events.idle()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            for worker in self._workers:
                busy_s = self._clock() - worker.since
                if worker.items and busy_s > _STUCK_S:
                    self._log.error("worker is stuck", busy_s=round(busy_s))
                    _kill(worker)


def _kill(worker: Handle) -> None:
    with contextlib.suppress(ProcessLookupError):
        worker.process.kill()


def _load(generation: Generation) -> Load:
    bundle = generation.bundle
    return Load(generation.number, str(bundle.path), bundle.manifest.id)
