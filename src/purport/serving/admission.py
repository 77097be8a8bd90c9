"""Whether there is room for more texts: one rule for every route."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

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

    def seconds_behind(self, requests: int) -> float:
        """How long a text would wait that came after so many requests, whose texts are not known yet."""
        ...

    def drop_gone(self) -> None:
        """Forget texts that nobody waits for any more; until then they count."""
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
        if self._refusal(texts, bulk):
            self._backlog.drop_gone()
            refusal = self._refusal(texts, bulk)
            if refusal:
                raise refusal

    def admit_behind(self, requests: int) -> None:
        """Check that a single text has a chance that comes while ``requests`` are under way; costs next to nothing.

        Raises:
            Overloaded: it has none.
        """
        refusal = self._too_late(self._backlog.seconds_behind(requests))
        if refusal:
            raise refusal

    def _refusal(self, texts: int, bulk: bool) -> Overloaded | None:
        waiting, wait = self._backlog.waiting(bulk=bulk), self._backlog.seconds(bulk=bulk)
        if waiting + texts > self._limits[bulk]:
            return Overloaded(f"{waiting} texts are waiting already; try again later.", max(wait, 1.0))
        return self._too_late(wait)

    def _too_late(self, wait: float) -> Overloaded | None:
        if wait > _LONGEST_WAIT * self._deadline_s:
            return Overloaded(f"The wait would be {wait:.1f} seconds; try again later.", wait)
        return None

    async def room(self) -> None:
        """Return when another text of a stream may wait."""
        while self._backlog.waiting(bulk=True) >= _BULK_LIMIT:
            self._backlog.drop_gone()
            await asyncio.sleep(_LOOK_AGAIN_S)

    def deadline(self) -> Deadline:
        """A block that a request has to get through in time; texts not yet taken by a worker are dropped."""
        return Deadline(self._deadline_s)


class Deadline:
    """``async with Deadline(seconds):``; as a generator it would cost every request 2 µs more.

    Raises:
        DeadlineExceeded: the block was not through in time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._timeout.__aexit__(*error)
        except TimeoutError:
            raise DeadlineExceeded(f"No answer within {self._seconds:g} seconds.") from None
