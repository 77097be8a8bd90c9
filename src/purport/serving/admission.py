"""Decides whether more texts can be accepted, by one rule for every route."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from ..errors import DeadlineExceeded, Overloaded

# Largest number of waiting texts from bulk requests.
_BULK_LIMIT = 8 * 1024
# Requests that would wait longer than this share of the deadline are rejected, as they would probably miss it.
_LONGEST_WAIT = 0.5
_OF_STREAMS = (
    1 / 8
)  # the share of what may wait that streams fill: the estimated wait may become four times as long at once
_LOOK_AGAIN_S = 0.02


class Backlog(Protocol):
    """The texts that are waiting for a worker."""

    def waiting(self, *, bulk: bool) -> int:
        """The number of waiting texts of single requests, or of bulk requests."""
        ...

    def seconds(self, *, bulk: bool) -> float:
        """Estimated wait of a text that arrives now, in seconds."""
        ...

    def seconds_behind(self, requests: int) -> float:
        """Estimated wait of a text behind ``requests`` requests whose texts are not known yet, in seconds."""
        ...

    def drop_gone(self) -> None:
        """Remove texts that nobody waits for any more; until then they count as waiting."""
        ...


class Admission:
    """Rejects requests that could not be answered in time, by the number of waiting texts and the expected wait.

    At most ``queue`` texts of single requests may wait, each at most ``deadline_s`` seconds.
    """

    def __init__(self, backlog: Backlog, *, queue: int, deadline_s: float) -> None:
        self._backlog = backlog
        self._limits = {False: queue, True: _BULK_LIMIT}
        self._deadline_s = deadline_s

    def admit(self, texts: int = 1, *, bulk: bool = False) -> None:
        """Check that there is room for ``texts``.

        Raises:
            Overloaded: there is not; the error has the seconds after which the client may try again.
        """
        if self._refusal(texts, bulk):
            self._backlog.drop_gone()
            refusal = self._refusal(texts, bulk)
            if refusal:
                raise refusal

    def admit_behind(self, requests: int) -> None:
        """Check cheaply that a single text that arrives behind ``requests`` open requests can be answered in time.

        Raises:
            Overloaded: it cannot.
        """
        refusal = self._too_late(self._backlog.seconds_behind(requests))
        if refusal:
            raise refusal

    def _refusal(self, texts: int, bulk: bool) -> Overloaded | None:
        waiting, wait = self._backlog.waiting(bulk=bulk), self._backlog.seconds(bulk=bulk)
        if waiting + texts > self._limits[bulk]:
            return Overloaded(f"{waiting} texts are already waiting; try again later.", max(wait, 1.0))
        return self._too_late(wait)

    def _too_late(self, wait: float) -> Overloaded | None:
        if wait > _LONGEST_WAIT * self._deadline_s:
            return Overloaded(f"The wait would be {wait:.1f} seconds; try again later.", wait)
        return None

    async def room(self) -> None:
        """Wait until there is room for another text of a stream. All streams together leave room for bulk requests."""
        while (
            self._backlog.waiting(bulk=True) >= _OF_STREAMS * _BULK_LIMIT
            or self._backlog.seconds(bulk=True) > _OF_STREAMS * _LONGEST_WAIT * self._deadline_s
        ):
            self._backlog.drop_gone()
            await asyncio.sleep(_LOOK_AGAIN_S)

    def deadline(self) -> Deadline:
        """A block with the time limit of a request; when it expires, texts that no worker has taken are dropped."""
        return Deadline(self._deadline_s)


class Deadline:
    """``async with Deadline(seconds):``. A class, because a generator would cost every request 2 µs more.

    Raises:
        DeadlineExceeded: the block did not finish in time.
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
            raise DeadlineExceeded(f"No answer within {self._seconds:g} seconds; try again later.") from None
