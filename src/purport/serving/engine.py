"""The model of a server: loaded in the background, asked from the event loop, bounded."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from enum import StrEnum

from ..classifier import Classifier
from ..errors import DeadlineExceeded, NotReady, Overloaded
from ..prediction import Prediction

_RETRY_AFTER_S = 1.0


class State(StrEnum):
    """Where the engine is in its life."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Engine:
    """Answers one text at a time in a thread of its own, so that the event loop stays free.

    Args:
        load: opens the classifier; runs in the thread.
        queue_limit: requests that may be under way at once.
        deadline: seconds that a request may take.
    """

    def __init__(self, load: Callable[[], Classifier], *, queue_limit: int, deadline: float) -> None:
        self.state = State.LOADING
        self.failure: Exception | None = None
        self._load = load
        self._queue_limit = queue_limit
        self._deadline = deadline
        self._waiting = 0
        self._classifier: Classifier | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="purport-model")

    @property
    def ready(self) -> bool:
        """Whether new work is welcome."""
        return self.state is State.READY

    async def start(self) -> None:
        """Load and warm up. A failure is kept in ``failure``; ``state`` says how it ended."""
        try:
            self._classifier = await asyncio.get_running_loop().run_in_executor(self._thread, self._open)
        except Exception as error:
            self.failure = error
            self.state = State.FAILED
            return
        if self.state is State.LOADING:
            self.state = State.READY

    def _open(self) -> Classifier:
        classifier = self._load()
        classifier.predict(["warm up"])
        return classifier

    def drain(self) -> None:
        """Say that the end is near; what still comes is answered."""
        self.state = State.DRAINING

    def stop(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def require_loaded(self) -> Classifier:
        """The classifier.

        Raises:
            NotReady: it is not loaded yet.
        """
        if self._classifier is None:
            raise NotReady("The model is not loaded yet; ask /ready and try again.")
        return self._classifier

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """A block that a request has to get through in time; work not yet begun is dropped.

        Raises:
            DeadlineExceeded: it did not.
        """
        try:
            async with asyncio.timeout(self._deadline):
                yield
        except TimeoutError:
            raise DeadlineExceeded(f"No answer within {self._deadline:g} seconds.") from None

    async def predict(self, text: str) -> Prediction:
        """The answer to one text.

        Raises:
            NotReady: no model is loaded.
            Overloaded: too many requests are waiting.
        """
        classifier = self.require_loaded()
        if self._waiting >= self._queue_limit:
            raise Overloaded(f"{self._waiting} requests are waiting already; try again later.", _RETRY_AFTER_S)
        self._waiting += 1
        try:
            call = functools.partial(classifier.predict, [text])
            (prediction,) = await asyncio.get_running_loop().run_in_executor(self._thread, call)
        finally:
            self._waiting -= 1
        return prediction
