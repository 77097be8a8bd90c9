"""Sends batches of texts to workers and returns the answers. An idle worker takes whatever is in the queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextvars import ContextVar

from .. import registry
from ..errors import NotReady, PurportError, WorkerLost
from ..runtime.clip import MOST_CHARACTERS, clip, most_characters
from . import counters
from .cache import AnswerCache
from .generation import SMOOTHING, Generation
from .handle import Handle
from .operations import Operation, Request, Result, priced
from .pool import Pool
from .queue import Item, Queue
from .wire import Done

PENDING: ContextVar[set[asyncio.Future[Result]] | None] = ContextVar("pending", default=None)
"""The texts that the current HTTP request waits for; they are dropped when its client disconnects."""

# Limits of a batch, in units (estimated tokens) and seconds. Larger batches are hardly faster per text, and all later
# texts would wait longer (docs/decisions/0010).
_BATCH_UNITS = 1024
_BATCH_S = 0.06
_CACHED_CHARACTERS = 1024
_ATTEMPTS = 2


class Dispatch:
    """Distributes texts to the workers of ``pool``, unless ``cache`` has the answer."""

    def __init__(self, pool: Pool, cache: AnswerCache | None = None) -> None:
        self._pool = pool
        self._cache = cache
        self._queue = Queue()
        self._operations: dict[str, Operation] = {}
        self._suspects: list[Item] = []
        self._scheduled = False
        self._text_s = 0.0
        counters.QUEUE.set_function(lambda: len(self._queue))

    def waiting(self, *, bulk: bool) -> int:
        """See :class:`~purport.serving.admission.Backlog`."""
        return self._queue.length(bulk=bulk)

    def waiting_of(self, client: str) -> int:
        """See :class:`~purport.serving.admission.Backlog`."""
        return self._queue.length_of(client)

    def seconds(self, client: str | None = None) -> float:
        """See :class:`~purport.serving.admission.Backlog`; single texts hardly wait for bulk requests."""
        return self._queue.seconds_before(client) / max(1, self._pool.size)

    def seconds_behind(self, requests: int) -> float:
        """See :class:`~purport.serving.admission.Backlog`.

        Estimated from the recent time per single text, but for those that are in the queue: their price is known. Long
        ones are bulk texts, and do not wait with them.
        """
        unknown = max(0, requests - self._queue.length(bulk=False))
        return (self._queue.seconds_before(None) + unknown * self._text_s) / max(1, self._pool.size)

    def drop_gone(self) -> None:
        """See :class:`~purport.serving.admission.Backlog`."""
        self._queue.drop_gone()

    def ask(
        self, operation: str, request: Request, generation: Generation, *, client: str | None = None
    ) -> asyncio.Future[Result]:
        """The future result of ``operation`` for one text; cancelling it drops the text.

        ``client`` is who sent the bulk request that it belongs to; ``None`` for a single text.

        Raises:
            NotReady: no worker has the model at the moment.
        """
        if not self._pool.has(generation.number):
            raise NotReady("No worker has the model at the moment; poll /ready and try again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        if len(request.text) > MOST_CHARACTERS:  # what no model reads is not queued, sent or made into tokens
            most = most_characters(generation.facts.limit)
            request = request._replace(text=clip(request.text, most, mark=1))
        if self._cache is not None:
            known = self._cache.get(generation.number, operation, request)
            (counters.CACHE_MISSES if known is None else counters.CACHE_HITS).inc()
            if known is not None:
                future.set_result(known)
                return future
        units = priced(self._operation(operation), request, generation.facts, generation.labels)
        pending = PENDING.get()
        if pending is not None:
            pending.add(future)
            future.add_done_callback(pending.discard)
        self._queue.add(Item(operation, request, generation, future, units, client))
        if not self._scheduled:
            # Once per iteration of the event loop, so that requests that arrive together form a batch.
            self._scheduled = True
            loop.call_soon(self.run)
        return future

    def run(self) -> None:
        """Give waiting texts to idle workers."""
        self._scheduled = False
        if self._suspects:
            self._retry()
        idle = self._pool.idle()
        for position, worker in enumerate(idle):
            if not len(self._queue):
                return
            # Share the waiting work between the idle workers. Texts cannot be cut: who comes later, takes less.
            among, seconds = len(idle) - position, _BATCH_S
            if among > 1 and len(self._queue) > 1:
                seconds = min(seconds, self._queue.seconds() / among * (1 + (among - 1) / len(self._queue)))
            while not worker.items and (batch := self._queue.take(_BATCH_UNITS, seconds, worker.free_for)):
                self._give(worker, batch)

    def _give(self, worker: Handle, batch: list[Item]) -> None:
        try:
            self._pool.give(worker, batch)
        except Exception as error:  # options that cannot be pickled
            _fail(batch, f"it could not be sent to a worker: {error!r}")
            return
        now = time.monotonic()
        counters.BATCH.observe(len(batch))
        for item in batch:
            counters.WAIT.observe(now - item.asked)

    def done(self, items: Sequence[Item], done: Done, seconds: float) -> None:
        """Handle the answer of a worker to ``items``, which was there after ``seconds``.

        What the worker measured is less, above all if this process was busy: that must not make texts look dear.
        """
        seconds = min(seconds, done.seconds)
        generation = items[0].generation
        units = sum(item.units for item in items)
        generation.observe(units, seconds)
        if done.spent:
            counters.asked(generation.bundle.manifest.id, done.spent)
        if items[0].client is None:
            self._text_s += SMOOTHING * (generation.cost * units / len(items) - self._text_s)
        for item, result in zip(items, done.results, strict=True):
            counters.WORK.observe(seconds)
            if item.future.done():
                continue
            if isinstance(result, str):
                _fail([item], result)
                continue
            if self._cache is not None and not generation.at_once and len(item.request.text) <= _CACHED_CHARACTERS:
                self._cache.keep(generation.number, item.operation, item.request, result)
            item.future.set_result(result)

    def lost(self, items: Sequence[Item], *, suspect: bool = True) -> None:
        """Handle the death of a worker that had ``items``: retry them once, as a bad text may kill every worker.

        If one of them may have been the cause, they wait until they cannot take the last worker from all others.
        """
        for item in items:
            item.attempts += 1
            if item.future.done():
                continue
            if item.attempts >= _ATTEMPTS:
                item.future.set_exception(WorkerLost("the worker processes that had this text died"))
            elif suspect:
                self._suspects.append(item)
            else:
                self._queue.add(item, first=True)
        self.run()

    def _retry(self) -> None:
        """Put what killed a worker back into the queue, if more than one can answer."""
        suspects, self._suspects = self._suspects, []
        for item in reversed(suspects):
            if self._pool.able(item.generation.number) >= min(2, self._pool.size):
                self._queue.add(item, first=True)
            elif not item.future.done():
                self._suspects.insert(0, item)

    def _operation(self, name: str) -> Operation:
        found = self._operations.get(name)
        if found is None:
            found = self._operations[name] = registry.load("operations", name)()
        return found


def _fail(items: Sequence[Item], reason: str) -> None:
    for item in items:
        if not item.future.done():
            item.future.set_exception(PurportError(f"the model failed on this text: {reason}"))
