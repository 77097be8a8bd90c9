"""The models of a server by name: loaded into every worker, swapped, rolled back, and let go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from ..bundle import Bundle
from ..errors import BundleCorrupt, ModelUnknown, NothingBefore, NotReady, PurportError, did_you_mean
from .generation import Generation
from .pool import Pool

_LOAD_S = 120.0
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What models may be called."""


class State(StrEnum):
    """Where a server is in its life."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass
class Model:
    """What a name stands for now, and what it stood for before the last change."""

    name: str
    current: Generation
    previous: Generation | None = None

    @property
    def path(self) -> Path:
        """Where the current bundle lies."""
        return self.current.bundle.path


class ModelStore:
    """The models of a server; the first is the default."""

    def __init__(self, bundles: Mapping[str, str], pool: Pool, cache: int) -> None:
        self.state = State.LOADING
        self.failure: Exception | None = None
        self._bundles = bundles
        self._pool = pool
        self._cache = cache
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
            ModelUnknown: there is none of that name.
        """
        if len(self._models) < len(self._bundles):
            raise NotReady("The model is not loaded yet; ask /ready and try again.")
        if name is None:
            return next(iter(self._models.values()))
        try:
            return self._models[name]
        except KeyError:
            raise ModelUnknown(f'There is no model "{name}".{did_you_mean(name, self._models)}') from None

    @property
    def able(self) -> int:
        """How many workers have the default model."""
        return self._pool.able(self.get().current.number) if len(self) and len(self) >= len(self._bundles) else 0

    @property
    def ready(self) -> bool:
        """Whether new work is welcome and a worker can do it."""
        return self.state is State.READY and self.able > 0

    async def start(self) -> None:
        """Load the models. A failure is kept in ``failure``; ``state`` says how it ended."""
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
        """Say that the end is near; what still comes is answered."""
        self.state = State.DRAINING

    async def put(self, name: str, ref: str | Path) -> Model:
        """Let ``name`` stand for the bundle ``ref``, from the moment that every worker has it.

        Requests under way are answered by what ``name`` stood for when they came. Nothing is loaded that is
        there already: the bundle in use, or the one before it.

        Raises:
            BundleError: it cannot be opened; nothing has changed.
        """
        async with self._changing:
            bundle = await asyncio.to_thread(Bundle.open, ref)
            model = self._models.get(name)
            if model is not None and self._is_there(model.current, bundle):
                return model
            if model is not None and model.previous and self._is_there(model.previous, bundle):
                return _exchanged(model)
            generation = await self._load(bundle)
            if model is None:
                model = self._models[name] = Model(name, generation)
                return model
            forgotten, model.previous, model.current = model.previous, model.current, generation
            if forgotten is not None:
                forgotten.when_unused(lambda: self._pool.drop(forgotten))
            return model

    async def reload(self) -> None:
        """Look again at the directory of each model, and take what is new there; what fails is logged and stays."""
        for model in self.all():
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
            model = self.get(name)
            if model.previous is None:
                raise NothingBefore(f'Model "{name}" has had no other bundle since the server started.')
            if not self._everywhere(model.previous):
                raise NothingBefore(
                    f'Not every worker has the bundle before that of "{name}": one is starting, or the bundle is gone '
                    "from the server's disk. Try again, or put a bundle."
                )
            return _exchanged(model)

    def loaded(self, number: int, failure: PurportError | None) -> None:
        """A worker has loaded the generation of that number, or could not."""
        waiting = self._loading.get(number)
        if waiting is None or waiting.done():
            return
        # A server may begin with its first worker; a swap waits for all, for none of them may fall behind.
        enough = 1 if self.state is State.LOADING else len(self._pool.pids())
        if failure is not None:
            waiting.set_exception(failure)
        elif self._pool.able(number) >= enough:
            waiting.set_result(None)

    def _is_there(self, generation: Generation, bundle: Bundle) -> bool:
        """Whether ``generation`` is of ``bundle``, and every worker has it or can load it when it starts."""
        same = generation.bundle.manifest.id == bundle.manifest.id
        return same and (generation.bundle.path == bundle.path or self._everywhere(generation))

    def _everywhere(self, generation: Generation) -> bool:
        """Whether every worker has ``generation``."""
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
