"""Whether there is room for more texts: one rule for every route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from ..errors import DeadlineExceeded, Overloaded

# Texts of bulk requests that may wait.
_BULK_LIMIT = 8 * 1024
# Who would wait for more than this share of the deadline is refused: what waits until its deadline is work for nothing.
_LONGEST_WAIT = 0.5
_LOOK_AGAIN_S = 0.05


class Backlog(Protocol):
    """What waits to be answered."""

    def waiting(self, *, bulk: bool) -> int:
        """Texts of single requests, or of bulk requests, that no worker has taken yet."""
        ...

    def seconds(self, *, bulk: bool) -> float:
        """How long a text that came now would wait, as far as can be told."""
        ...


class Admission:
    """Refuses what could not be answered in time: by count, and by the wait that is to be expected.

    ``queue`` single texts may wait, each at most ``deadline_s`` seconds.
    """

    def __init__(self, backlog: Backlog, *, queue: int, deadline_s: float) -> None:
        self._backlog = backlog
        self._limits = {False: queue, True: _BULK_LIMIT}
        self._deadline_s = deadline_s

    def admit(self, texts: int = 1, *, bulk: bool = False) -> None:
        """Check that there is room for ``texts``.

        Raises:
            Overloaded: there is not; carries the seconds after which it may be worth another try.
        """
        waiting, wait = self._backlog.waiting(bulk=bulk), self._backlog.seconds(bulk=bulk)
        if waiting + texts > self._limits[bulk]:
            raise Overloaded(f"{waiting} texts are waiting already; try again later.", max(wait, 1.0))
        if wait > _LONGEST_WAIT * self._deadline_s:
            raise Overloaded(f"The wait would be {wait:.1f} seconds; try again later.", wait)

    async def room(self) -> None:
        """Return when another text of a stream may wait."""
        while self._backlog.waiting(bulk=True) >= _BULK_LIMIT:
            await asyncio.sleep(_LOOK_AGAIN_S)

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """A block that a request has to get through in time; texts not yet taken by a worker are dropped.

        Raises:
            DeadlineExceeded: it did not.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                yield
        except TimeoutError:
            raise DeadlineExceeded(f"No answer within {self._deadline_s:g} seconds.") from None
