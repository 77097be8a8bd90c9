"""Bulk requests and streams are worked on one at a time, in pieces, so that others are answered in between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from .dispatch import PENDING

_PIECE_S = 0.002
# What is shorter is added up before the event loop is left free for that long: its timers are no finer.
_SHORT_S = 0.001


class Turns:
    """One bulk request or stream at a time; clients take turns, and after each the loop is free for as long as it took.

    A thousand texts take ten milliseconds or more, whether they are queued, wrong or answered from the cache, and many
    such requests may arrive in one turn of the event loop, each in a body of a few kilobytes. Nobody else is answered
    meanwhile. So whoever works on many texts looks at :meth:`Turn.over` after each.
    """

    def __init__(self) -> None:
        self._taken = False
        self._owed = 0.0  # seconds that the loop has not been left free for yet
        self._waiting: dict[str, deque[asyncio.Future[Any]]] = {}

    def turn(self, client: str) -> Turn:
        """A block for work of ``client``. If the client leaves while it waits, the request is cancelled."""
        return Turn(self, client)

    async def take(self, client: str) -> None:
        """Wait for a turn of ``client``."""
        if not self._taken:
            self._taken = True
            return
        turn = _dropped_with_the_request()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had its turn, and cannot use it
                self._next()
            raise

    def give(self, seconds: float) -> None:
        """The turn is over, and took ``seconds`` since the loop was last free."""
        self._owed += seconds
        if self._owed < _SHORT_S:
            self._next()
        else:
            asyncio.get_running_loop().call_later(self._owed, self._next)
            self._owed = 0.0

    def _next(self) -> None:
        """Give the turn to the first request of the client that has waited longest for one."""
        self._taken = False
        while self._waiting:
            client = next(iter(self._waiting))
            turns = self._waiting.pop(client)
            while turns and turns[0].done():
                turns.popleft()
            if turns:
                turn = turns.popleft()
                if turns:
                    self._waiting[client] = turns
                self._taken = True
                turn.set_result(None)
                return


class Turn:
    """``async with turns.turn(client) as turn:``. A class, because a generator costs more, and every line has two."""

    def __init__(self, turns: Turns, client: str) -> None:
        self._turns = turns
        self._client = client
        self._began = 0.0

    async def __aenter__(self) -> Turn:
        await self._turns.take(self._client)
        self._began = time.perf_counter()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._turns.give(time.perf_counter() - self._began)

    def over(self) -> bool:
        """Whether it is time to leave the event loop to others: to :meth:`pause`, or to end the turn."""
        return time.perf_counter() - self._began > _PIECE_S

    async def pause(self) -> None:
        """Keep the turn, and leave the event loop free for as long as the last piece took."""
        free = _dropped_with_the_request()
        timer = asyncio.get_running_loop().call_later(time.perf_counter() - self._began, _wake, free)
        try:
            await free
        finally:
            timer.cancel()
            self._began = time.perf_counter()


def _wake(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)


def _dropped_with_the_request() -> asyncio.Future[Any]:
    """A future that is cancelled when the client of the request disconnects."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    pending = PENDING.get()
    if pending is not None:
        pending.add(future)
        future.add_done_callback(pending.discard)
    return future
