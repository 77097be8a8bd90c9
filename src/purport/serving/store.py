"""The models of a server, by name: loads them into every worker, swaps them, rolls them back and unloads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from ..bundle import Bundle
from ..errors import BundleCorrupt, ModelUnknown, NothingBefore, NotReady, PurportError, did_you_mean
from .generation import Generation
from .pool import Pool
from .probe import probe

_LOAD_S = 120.0
Trial = Callable[[Bundle, str], Awaitable[None]]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Pattern of model names."""


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

    @property
    def path(self) -> Path:
        """The directory of the current bundle."""
        return self.current.bundle.path


class ModelStore:
    """The models of a server; the first is the default. A bundle that is put later has to pass the ``trial`` first."""

    def __init__(self, bundles: Mapping[str, str], pool: Pool, cache: int, trial: Trial | None = probe) -> None:
        self.state = State.LOADING
        self.failure: Exception | None = None
        self._bundles = bundles
        self._pool = pool
        self._cache = cache
        self._trial = trial
        self._models: dict[str, Model] = {}
        self._loading: dict[int, asyncio.Future[None]] = {}
        self._changing = asyncio.Lock()
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
        if len(self._models) < len(self._bundles):
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
        return self._pool.able(self.get().current.number) if len(self) and len(self) >= len(self._bundles) else 0

    @property
    def ready(self) -> bool:
        """Whether the server accepts requests and a worker can answer them."""
        return self.state is State.READY and self.able > 0

    async def start(self) -> None:
        """Load the models. Afterwards ``state`` is the outcome; an error is kept in ``failure``."""
        try:
            for name, ref in self._bundles.items():
                generation = await self._load(await asyncio.to_thread(Bundle.open, ref))
                self._models[name] = Model(name, generation)
        except Exception as error:
            self.failure = error
            self.state = State.FAILED
            return
        if self.state is State.LOADING:
            self.state = State.READY

    def drain(self) -> None:
        """Start draining: ``/ready`` turns to 423, but requests are still answered."""
        self.state = State.DRAINING

    async def put(self, name: str, ref: str | Path) -> Model:
        """Serve the bundle ``ref`` as ``name`` as soon as every worker has loaded it.

        Requests that have already arrived are answered by the bundle in use at that time. A bundle that is already
        loaded, as the current or the previous one, is not loaded again.

        Raises:
            BundleError: it cannot be opened; the model is unchanged.
        """
        async with self._changing:
            bundle = await asyncio.to_thread(Bundle.open, ref)
            model = self._models.get(name)
            if model is not None and self._is_there(model.current, bundle):
                return model
            if model is not None and model.previous and self._is_there(model.previous, bundle):
                return _exchanged(model)
            if self._trial is not None:
                await self._trial(bundle, self._pool.device)
            generation = await self._load(bundle)
            if model is None:
                model = self._models[name] = Model(name, generation)
                return model
            forgotten, model.previous, model.current = model.previous, model.current, generation
            if forgotten is not None:
                forgotten.when_unused(lambda: self._pool.drop(forgotten))
            return model

    async def reload(self) -> None:
        """Reload the directory of each model, if it has a new bundle. A model that fails to load stays unchanged."""
        for model in self.all():
            try:
                changed = (await self.put(model.name, model.path)).current.bundle.manifest.id
                self._log.info("reloaded", model=model.name, bundle=changed)
            except Exception as error:
                self._log.error("not reloaded", model=model.name, reason=str(error) or repr(error))

    async def roll_back(self, name: str) -> Model:
        """Switch ``name`` back to its previous bundle.

        Raises:
            ModelUnknown: there is no model of that name.
            NothingBefore: there is no previous bundle, or not every worker has it.
        """
        async with self._changing:
            model = self.get(name)
            if model.previous is None:
                raise NothingBefore(f'Model "{name}" has had no other bundle since the server started; put a bundle.')
            if not self._everywhere(model.previous):
                raise NothingBefore(
                    f'Not every worker has loaded the previous bundle of "{name}": a worker is starting, or the bundle '
                    "was deleted from the server's disk. Try again later, or put a bundle."
                )
            return _exchanged(model)

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

    def _is_there(self, generation: Generation, bundle: Bundle) -> bool:
        """Whether ``generation`` has ``bundle``, and every worker has loaded it or can load it when it starts."""
        same = generation.bundle.manifest.id == bundle.manifest.id
        return same and (generation.bundle.path == bundle.path or self._everywhere(generation))

    def _everywhere(self, generation: Generation) -> bool:
        """Whether every worker has loaded ``generation``."""
        return self._pool.able(generation.number) >= max(1, len(self._pool.pids()))

    async def _load(self, bundle: Bundle) -> Generation:
        generation = Generation(bundle, self._cache)
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


def _exchanged(model: Model) -> Model:
    assert model.previous is not None, "checked by the caller"
    model.current, model.previous = model.previous, model.current
    return model
