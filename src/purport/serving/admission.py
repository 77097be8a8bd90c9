"""Decides whether more texts can be accepted, by one rule for every route."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..errors import DeadlineExceeded, Overloaded

# Largest number of waiting texts from bulk requests. A client may have as many waiting as places are free: half of them
# if it is alone, a third each if there are two.
_BULK_LIMIT = 8 * 1024
# Requests that would wait longer than this share of the deadline are rejected, as they would probably miss it.
_LONGEST_WAIT = 0.5
# The share of what a client may have waiting that its streams fill: the estimated wait may become four times as long at
# once.
_OF_STREAMS = 1 / 8
_LOOK_AGAIN_S = 0.02


class Backlog(Protocol):
    """The texts that are waiting for a worker."""

    def waiting(self, *, bulk: bool) -> int:
        """The number of waiting texts of single requests, or of bulk requests."""
        ...

    def waiting_of(self, client: str) -> int:
        """The number of waiting texts of the bulk requests of ``client``."""
        ...

    def seconds(self, client: str | None = None) -> float:
        """Estimated wait of a single text that arrives now, or of a bulk text of ``client``, in seconds."""
        ...

    def seconds_behind(self, requests: int) -> float:
        """Estimated wait of a text behind ``requests`` requests whose texts are not known yet, in seconds."""
        ...

    def drop_gone(self) -> None:
        """Remove texts that nobody waits for any more; until then they count as waiting."""
        ...


class Admission:
    """Rejects requests that could not be answered in time, by the number of waiting texts and the expected wait.

    At most ``queue`` texts of single requests may wait, each at most ``deadline_s`` seconds. Each client has a share
    of the places for texts of bulk requests, so that none keeps the others out.
    """

    def __init__(self, backlog: Backlog, *, queue: int, deadline_s: float) -> None:
        self._backlog = backlog
        self._queue = queue
        self._deadline_s = deadline_s

    def admit(self, texts: int = 1, *, client: str | None = None) -> None:
        """Check that there is room for ``texts``: single ones, or those of a bulk request of ``client``.

        Raises:
            Overloaded: there is not; the error has the seconds after which the client may try again.
        """
        if self._refusal(texts, client):
            self._backlog.drop_gone()
            refusal = self._refusal(texts, client)
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

    def _refusal(self, texts: int, client: str | None) -> Overloaded | None:
        waiting, wait = self._backlog.waiting(bulk=client is not None), self._backlog.seconds(client)
        room = self._queue - waiting if client is None else self._free() - self._backlog.waiting_of(client)
        if texts > room:
            return Overloaded(f"{waiting} texts are already waiting; try again later.", max(wait, 1.0))
        return self._too_late(wait)

    def _free(self) -> int:
        """The number of free places for texts of bulk requests."""
        return _BULK_LIMIT - self._backlog.waiting(bulk=True)

    def _too_late(self, wait: float) -> Overloaded | None:
        if wait > _LONGEST_WAIT * self._deadline_s:
            return Overloaded(f"The wait would be {wait:.1f} seconds; try again later.", wait)
        return None

    def has_room(self, client: str) -> bool:
        """Whether there is room for another text of a stream of ``client``. All its streams leave room for bulk."""
        return (
            self._backlog.waiting_of(client) < _OF_STREAMS * self._free()
            and self._backlog.seconds(client) <= _OF_STREAMS * _LONGEST_WAIT * self._deadline_s
        )

    async def room(self, client: str) -> None:
        """Wait until there is room for another text of a stream of ``client``."""
        while not self.has_room(client):
            self._backlog.drop_gone()
            await asyncio.sleep(_LOOK_AGAIN_S)

    def deadline(self) -> Deadline:
        """A block with the time limit of a request; when it expires, texts that no worker has taken are dropped."""
        return Deadline(self._deadline_s)


class Deadline:
    """``with Deadline(seconds):`` in a coroutine: what :func:`asyncio.timeout` does, at two thirds of its cost.

    Raises:
        DeadlineExceeded: the block did not finish in time.
    """

    __slots__ = ("_before", "_expired", "_handle", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "it is used in a coroutine"
        self._task, self._before, self._expired = task, task.cancelling(), False
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._handle.cancel()
        # Somebody else may have cancelled the task as well, and is to see that.
        if self._expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise DeadlineExceeded(f"No answer within {self._seconds:g} seconds; try again later.") from None
