"""The models of a server, by name: loads them into every worker, swaps them, rolls them back and unloads them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import structlog

from ..bundle import Bundle
from ..errors import (
    BundleCorrupt,
    ModelConflict,
    ModelUnknown,
    NothingBefore,
    NotReady,
    PurportError,
    did_you_mean,
)  # fmt: skip
from ..signature import PublicKeys
from .aside import aside
from .desks import Desks
from .generation import Generation
from .places import Places
from .pool import Pool
from .probe import probe

_LOAD_S = 120.0
_READ_AT_ONCE = 4  # bundles, so that one slow disk does not keep the others waiting
Trial = Callable[[Bundle, str, PublicKeys | None], Awaitable[None]]
SERVER = "the server itself"
MOST_MODELS = 64
"""How many models a client may make; each has its bundle in the memory of every worker, and often the one before."""


class State(StrEnum):
    """The state of a server."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass
class Model:
    """A named model: its current generation, and the one before the last change."""

    name: str
    current: Generation
    previous: Generation | None = None


class ModelStore:
    """The models of a server; the first is the default.

    A bundle that is put later has to lie in one of the ``places``, and to pass the ``trial`` first.

    Attributes:
        teaching: the desks of those who rewrite the bundle of a model on the disk.
    """

    def __init__(self, bundles: Mapping[str, str], pool: Pool, places: Places, trial: Trial | None = probe) -> None:
        self.state = State.LOADING
        self.failure: Exception | None = None
        self._bundles = bundles
        self._pool = pool
        self._places = places
        self._trial = trial
        self._models: dict[str, Model] = {}
        self._complete = False
        self._loading: dict[int, asyncio.Future[None]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)
        self._trying = asyncio.Lock()  # one at a time, because each takes as much memory as a worker
        self._waiting: Counter[str] = Counter()
        self._started = asyncio.Event()
        self.teaching = Desks()
        self._log = structlog.get_logger("purport.models")

    def __len__(self) -> int:
        return len(self._models)

    def all(self) -> list[Model]:
        """Every model, the default first."""
        return list(self._models.values())

    def get(self, name: str | None = None) -> Model:
        """The model called ``name``, or the default.

        Raises:
            NotReady: the models are not loaded yet.
            ModelUnknown: there is no model of that name.
        """
        if not self._complete:
            raise NotReady("The model is not loaded yet; poll /ready and try again.")
        if name is None:
            return next(iter(self._models.values()))
        try:
            return self._models[name]
        except KeyError:
            raise ModelUnknown(f'There is no model "{name}".{did_you_mean(name, self._models)}') from None

    @property
    def able(self) -> int:
        """The number of workers that have loaded the default model."""
        return self._pool.able(self.get().current.number) if self._complete else 0

    @property
    def ready(self) -> bool:
        """Whether the server accepts requests and a worker can answer them."""
        return self.state is State.READY and self.able > 0

    async def start(self) -> None:
        """Load the models. Afterwards ``state`` is the outcome; an error is kept in ``failure``."""
        try:
            for name, ref in self._bundles.items():
                bundle = await _opened(ref, partial(Bundle.open, ref, signed_by=self._pool.signed_by))
                self._models[name] = Model(name, await self._load(bundle, ref))
            self._complete = True
        except Exception as error:
            self.failure = error
            self.state = State.FAILED
        if self.state is State.LOADING:
            self.state = State.READY
        self._started.set()

    def drain(self) -> None:
        """Start draining: ``/ready`` turns to 423, but requests are still answered."""
        self.state = State.DRAINING

    async def put(self, name: str, ref: str | os.PathLike[str] | None = None, *, by: str = SERVER) -> Model:
        """Serve the bundle ``ref`` as ``name`` as soon as every worker has loaded it; ``by`` whom, for the log.

        Without ``ref``, load again what the model is served from: a file may have changed, or a link.
        Requests that have already arrived are answered by the bundle in use at that time. A bundle that is already
        loaded, as the current or the previous one, is not loaded again. Changes of one name wait for each other, but
        for a rollback.

        Raises:
            ModelUnknown: there is no model of that name to load again.
            ModelConflict: there are too many models.
            Forbidden: ``ref`` is not in one of the places.
            BundleError: it cannot be opened; the model is unchanged.
        """
        async with self._turn(name):
            ref = self.get(name).current.source if ref is None else ref
            async with self._reading:
                bundle = await _opened(ref, partial(self._open, ref))
            model = self._models.get(name)
            if model is not None and self._is_there(model.current, bundle):
                model.current.source = ref
                return model
            if model is not None and model.previous and self._is_there(model.previous, bundle):
                model.previous.source = ref
                return self._exchange(model, by)
            if self._trial is not None:
                async with self._trying:
                    await self._trial(bundle, self._pool.device, self._pool.signed_by)
            generation = await self._load(bundle, ref)
            if model is None:
                model = self._models[name] = Model(name, generation)
                self._tell(model, by)
                return model
            forgotten, model.previous, model.current = model.previous, model.current, generation
            self._tell(model, by)
            self._forget(forgotten)
            return model

    async def delete(self, name: str, *, by: str = SERVER) -> Model:
        """Forget the model ``name``, also its previous bundle, once the requests under way are answered; ``by`` whom.

        Raises:
            ModelUnknown: there is no model of that name.
            ModelConflict: it is the default.
        """
        async with self._turn(name, new=False):
            model = self.get(name)
            if model is self.get():
                raise ModelConflict(
                    f'Model "{name}" is the default, which answers requests that name no model; it cannot be deleted. '
                    "Put another bundle in its place, or start the server with another one first."
                )
            del self._models[name]
            self._log.info("model deleted", model=name, bundle=model.current.bundle.manifest.id, by=by)
            self._forget(model.current)
            self._forget(model.previous)
            return model

    async def reload(self) -> None:
        """Reload the directory of each model, if it has a new bundle. A model that fails to load stays unchanged."""
        await self._started.wait()
        for model in self.all():
            try:
                changed = (await self.put(model.name, by="SIGHUP")).current.bundle.manifest.id
                self._log.info("reloaded", model=model.name, bundle=changed)
            except Exception as error:
                self._log.error("not reloaded", model=model.name, reason=str(error) or repr(error))

    def roll_back(self, name: str, *, by: str = SERVER) -> Model:
        """Switch ``name`` back to its previous bundle; ``by`` whom, for the log.

        Raises:
            ModelUnknown: there is no model of that name.
            NothingBefore: there is no previous bundle, or not every worker has it.
        """
        model = self.get(name)
        if model.previous is None:
            raise NothingBefore(f'Model "{name}" has had no other bundle since the server started; put a bundle.')
        if not self._everywhere(model.previous):
            raise NothingBefore(
                f'Not every worker has loaded the previous bundle of "{name}": a worker is starting, or the bundle '
                "was deleted from the server's disk. Try again later, or put a bundle."
            )
        return self._exchange(model, by)

    def loaded(self, number: int, failure: PurportError | None) -> None:
        """Handle the news that a worker has loaded generation ``number``, or failed to."""
        waiting = self._loading.get(number)
        if waiting is None or waiting.done():
            return
        # At the start one worker is enough; a swap waits for all workers, so that all switch together.
        enough = 1 if self.state is State.LOADING else len(self._pool.pids())
        if failure is not None:
            waiting.set_exception(failure)
        elif self._pool.able(number) >= enough:
            waiting.set_result(None)

    @asynccontextmanager
    async def _turn(self, name: str, *, new: bool = True) -> AsyncIterator[None]:
        """Changes of one name wait for each other. A ``new`` name counts from now on."""
        names = self._models.keys() | self._waiting.keys()
        if new and name not in names and len(names) >= MOST_MODELS:
            raise ModelConflict(f"The server has {len(names)} models, as many as it may have; delete one first.")
        turn = self._turns.setdefault(name, asyncio.Lock())
        self._waiting[name] += 1
        try:
            async with turn:
                yield
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name], self._turns[name]

    def _open(self, ref: str | os.PathLike[str]) -> Bundle:
        return Bundle.open(self._places.resolved(ref), signed_by=self._pool.signed_by)

    def _forget(self, generation: Generation | None) -> None:
        if generation is not None:
            generation.when_unused(lambda: self._pool.drop(generation))

    def _is_there(self, generation: Generation, bundle: Bundle) -> bool:
        """Whether ``generation`` has ``bundle``, and every worker has loaded it or can load it when it starts."""
        same = generation.bundle.manifest.id == bundle.manifest.id
        return same and (generation.bundle.path == bundle.path or self._everywhere(generation))

    def _everywhere(self, generation: Generation) -> bool:
        """Whether every worker has loaded ``generation``."""
        return self._pool.able(generation.number) >= max(1, len(self._pool.pids()))

    def _exchange(self, model: Model, by: str) -> Model:
        assert model.previous is not None, "checked by the caller"
        model.current, model.previous = model.previous, model.current
        self._tell(model, by)
        return model

    def _tell(self, model: Model, by: str) -> None:
        """Log who has changed ``model``."""
        replaced = model.previous.bundle.manifest.id if model.previous else None
        now = model.current.bundle.manifest.id
        self._log.info("model changed", model=model.name, bundle=now, replaced=replaced, by=by)

    async def _load(self, bundle: Bundle, ref: str | os.PathLike[str]) -> Generation:
        generation = Generation(bundle, ref)
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


async def _opened(ref: str | os.PathLike[str], call: Callable[[], Bundle]) -> Bundle:
    """The bundle ``ref``.

    Raises:
        BundleError: it cannot be opened, or not within the time limit of a load.
    """
    try:
        return await aside(call, _LOAD_S)
    except TimeoutError:
        raise BundleCorrupt(ref, "the bundle", f"could not be read within {_LOAD_S:g} seconds") from None
