"""The models of a server: asked from the event loop, answered in batches by worker processes, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog
from cachetools import LRUCache

from ..bundle import Bundle
from ..errors import BundleCorrupt, DeadlineExceeded, NothingBefore, NotReady, Overloaded, PurportError, WorkerLost
from . import metrics
from .models import Generation, Model, Models
from .pool import Events, Pool
from .queue import Item, Queue
from .render import INTENT, Rendered, Wanted
from .wire import Scored

# A batch holds at most so many estimated tokens, and takes at most so long: larger ones are hardly faster
# per text, and everybody behind them waits longer.
_BATCH_UNITS = 1024
_BATCH_S = 0.06
# Texts of bulk requests that may wait.
_BULK_LIMIT = 8 * 1024
_CACHED_CHARACTERS = 1024
_ATTEMPTS = 2
# Who would wait for more than this share of the deadline is refused: what waits until its deadline is work for nothing.
_HOPE = 0.5
_LOAD_S = 120.0


class State(StrEnum):
    """Where the engine is in its life."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(frozen=True)
class Limits:
    """``queue`` requests may wait, each at most ``deadline`` seconds; ``cache`` answers are kept per bundle."""

    queue: int
    deadline: float
    cache: int


class Engine:
    """Answers texts with named bundles.

    A free worker takes what waits, and while all are busy the queue gathers: without load nothing ever waits.
    """

    def __init__(self, bundles: Mapping[str, str], *, workers: int, device: str, threads: int, limits: Limits) -> None:
        self.state = State.LOADING
        self.failure: Exception | None = None
        self.models = Models()
        self._bundles = bundles
        self._limits = limits
        self._queue = Queue()
        self._pool = Pool(workers, device, threads, Events(self._dispatch, self._scored, self._lost, self._loaded))
        self._loading: dict[int, asyncio.Future[None]] = {}
        self._changing = asyncio.Lock()
        self._leaving: set[Generation] = set()
        self._caches: dict[Generation, LRUCache[tuple[str, Wanted], Rendered]] = {}
        self._dispatching = False
        self._log = structlog.get_logger("purport.engine")
        metrics.QUEUE.set_function(lambda: len(self._queue))
        metrics.WORKERS.set_function(self._able)
        metrics.RESTARTS.set_function(lambda: self._pool.restarts)

    @property
    def ready(self) -> bool:
        """Whether new work is welcome and a worker can do it."""
        return self.state is State.READY and self._able() > 0

    def _able(self) -> int:
        return self._pool.able(self.models.get().current.number) if len(self.models) else 0

    async def start(self) -> None:
        """Start the workers and load the models. A failure is kept in ``failure``; ``state`` says how it ended."""
        self._pool.start()
        try:
            for name, ref in self._bundles.items():
                self.models.put(name, await self._load(await asyncio.to_thread(Bundle.open, ref)))
        except Exception as error:
            self.failure = error
            self.state = State.FAILED
            return
        if self.state is State.LOADING:
            self.state = State.READY

    def drain(self) -> None:
        """Say that the end is near; what still comes is answered."""
        self.state = State.DRAINING

    async def stop(self) -> None:
        """End the workers."""
        await self._pool.stop()

    def require_loaded(self) -> None:
        """Check that there is a model to ask.

        Raises:
            NotReady: there is none yet.
        """
        if len(self.models) < len(self._bundles):
            raise NotReady("The model is not loaded yet; ask /ready and try again.")

    # Answering

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """A block that a request has to get through in time; texts not yet taken by a worker are dropped.

        Raises:
            DeadlineExceeded: it did not.
        """
        try:
            async with asyncio.timeout(self._limits.deadline):
                yield
        except TimeoutError:
            raise DeadlineExceeded(f"No answer within {self._limits.deadline:g} seconds.") from None

    def ask(self, text: str, wanted: Wanted = INTENT, generation: Generation | None = None, *, bulk: bool = False
    ) -> asyncio.Future[Rendered]:  # fmt: skip
        """The answer to one text, in time; cancelling the future drops the text.

        Raises:
            Overloaded: too many wait, or the wait would be longer than the deadline.
        """
        generation = generation or self.models.get().current
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Rendered] = loop.create_future()
        if (known := self._cached(generation, text, wanted)) is not None:
            future.set_result(known)
            return future
        if not bulk:
            self.admit(1)
        item = Item(text, wanted, generation, future, bulk)
        generation.under_way += 1
        future.add_done_callback(lambda _: self._done(generation))
        self._queue.add(item)
        if not self._dispatching:
            # Once per turn of the loop: requests that arrived together go together.
            self._dispatching = True
            loop.call_soon(self._dispatch)
        return future

    def admit(self, texts: int, *, bulk: bool = False) -> None:
        """Check that there is room for ``texts``.

        Raises:
            Overloaded: there is not; carries the seconds after which it may be worth another try.
        """
        self._queue.drop_gone()
        waiting = self._queue.length(bulk=bulk)
        # Single texts hardly wait for bulk requests: those have one turn in four.
        wait = self._queue.seconds(bulk=bulk) / max(1, self._pool.size)
        if waiting + texts > (_BULK_LIMIT if bulk else self._limits.queue):
            raise Overloaded(f"{waiting} texts are waiting already; try again later.", max(wait, 1.0))
        self._require_hope(wait)

    def admit_behind(self, requests: int) -> None:
        """Check that a single text that comes when ``requests`` are under way will be answered in time.

        Raises:
            Overloaded: as far as can be told, it will not.
        """
        if len(self.models):
            self._require_hope(requests * self.models.get().current.text_cost / max(1, self._pool.size))

    def _require_hope(self, wait: float) -> None:
        if wait > _HOPE * self._limits.deadline:
            raise Overloaded(f"The wait would be {wait:.1f} seconds; try again later.", wait)

    async def room_for_bulk(self) -> None:
        """Return when another text of a stream may wait."""
        while self._queue.length(bulk=True) >= _BULK_LIMIT:
            await asyncio.sleep(_BATCH_S)

    def _dispatch(self) -> None:
        self._dispatching = False
        idle = self._pool.idle()
        for position, worker in enumerate(idle):
            if not len(self._queue):
                return
            # What waits is shared among those who have nothing to do.
            share = self._queue.seconds() / (len(idle) - position)
            batch = self._queue.take(_BATCH_UNITS, min(_BATCH_S, max(share, 0.0)), worker.loaded)
            if batch:
                self._pool.give(worker, batch)
                metrics.BATCH.observe(len(batch))
                for item in batch:
                    metrics.WAIT.observe(worker.since - item.asked)

    def _scored(self, items: Sequence[Item], scored: Scored, seconds: float) -> None:
        generation = items[0].generation
        generation.observe(len(items), sum(item.units for item in items), seconds)
        for item, result in zip(items, scored.results, strict=True):
            metrics.WORK.observe(seconds)
            if item.future.done():
                continue
            if isinstance(result, Rendered):
                self._remember(generation, item, result)
                item.future.set_result(result)
            else:
                item.future.set_exception(PurportError(f"the model failed on this text: {result}"))

    def _lost(self, items: Sequence[Item]) -> None:
        """A worker died with these: another one tries, once, for a text that kills workers must not kill them all."""
        for item in reversed(items):
            item.attempts += 1
            if item.future.done():
                continue
            if item.attempts < _ATTEMPTS:
                self._queue.add(item, first=True)
            else:
                item.future.set_exception(WorkerLost("the workers that were to answer this text died"))
        self._dispatch()

    def _done(self, generation: Generation) -> None:
        generation.under_way -= 1
        if not generation.under_way and generation in self._leaving:
            self._leaving.discard(generation)
            self._pool.drop(generation)

    # Cache

    def _cached(self, generation: Generation, text: str, wanted: Wanted) -> Rendered | None:
        if not self._limits.cache:
            return None
        known = self._caches[generation].get((text, wanted)) if generation in self._caches else None
        (metrics.CACHE_MISSES if known is None else metrics.CACHE_HITS).inc()
        return known

    def _remember(self, generation: Generation, item: Item, answer: Rendered) -> None:
        if self._limits.cache and len(item.text) <= _CACHED_CHARACTERS and generation not in self._leaving:
            cache = self._caches.setdefault(generation, LRUCache(self._limits.cache))
            cache[item.text, item.wanted] = answer

    # Models

    async def put(self, name: str, ref: str | Path) -> Model:
        """Let ``name`` stand for the bundle ``ref``, from the moment that every worker has it.

        Requests under way are answered by what ``name`` stood for when they came. Nothing is loaded that is
        there already: the bundle in use, or the one before it.

        Raises:
            BundleError: it cannot be opened; nothing has changed.
        """
        async with self._changing:
            bundle = await asyncio.to_thread(Bundle.open, ref)
            model = self.models.find(name)
            if model is not None and self._everywhere(model.current, bundle):
                return model
            if model is not None and model.previous and self._everywhere(model.previous, bundle):
                return self.models.roll_back(name)
            generation = await self._load(bundle)
            forgotten = self.models.put(name, generation)
            if forgotten is not None:
                self._leave(forgotten)
            return self.models.get(name)

    async def reload(self) -> None:
        """Look again at the directory of each model, and take what is new there; what fails is logged and stays."""
        for model in self.models.all():
            try:
                changed = (await self.put(model.name, model.path)).current.bundle.manifest.id
                self._log.info("reloaded", model=model.name, bundle=changed)
            except Exception as error:
                self._log.error("not reloaded", model=model.name, reason=str(error) or repr(error))

    async def roll_back(self, name: str) -> Model:
        """Let ``name`` stand for what it stood for before.

        Raises:
            ModelUnknown, NothingBefore: there is nothing to go back to.
        """
        async with self._changing:
            previous = self.models.get(name).previous
            if previous is not None and not self._everywhere(previous):
                raise NothingBefore(f'The bundle before that of "{name}" is not on the server\'s disk any more.')
            return self.models.roll_back(name)

    def _everywhere(self, generation: Generation, bundle: Bundle | None = None) -> bool:
        """Whether every worker has ``generation``, and it is of ``bundle``."""
        if bundle is not None and generation.bundle.manifest.id != bundle.manifest.id:
            return False
        return self._pool.able(generation.number) >= max(1, len(self._pool.pids()))

    async def _load(self, bundle: Bundle) -> Generation:
        generation = Generation(bundle)
        done = asyncio.get_running_loop().create_future()
        self._loading[generation.number] = done
        try:
            self._pool.load(generation)
            await asyncio.wait_for(done, _LOAD_S)
        except TimeoutError:
            self._pool.drop(generation)
            raise BundleCorrupt(bundle.path, "the model", f"was not loaded within {_LOAD_S:g} seconds") from None
        except BaseException:
            self._pool.drop(generation)
            raise
        finally:
            del self._loading[generation.number]
        return generation

    def _loaded(self, number: int, failure: PurportError | None) -> None:
        waiting = self._loading.get(number)
        if waiting is None or waiting.done():
            return
        # A server may begin with its first worker; a swap waits for all, for none of them may fall behind.
        enough = 1 if self.state is State.LOADING else len(self._pool.pids())
        if failure is not None:
            waiting.set_exception(failure)
        elif self._pool.able(number) >= enough:
            waiting.set_result(None)

    def _leave(self, generation: Generation) -> None:
        self._caches.pop(generation, None)
        if generation.under_way:
            self._leaving.add(generation)
        else:
            self._pool.drop(generation)
