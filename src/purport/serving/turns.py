"""Large requests are taken one at a time, so that others are answered in between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from .dispatch import PENDING


class Turns:
    """One large request at a time; clients take turns, and after each the event loop is free for as long as it took.

    Reading a large body and queueing a thousand texts takes ten milliseconds or more in which nobody else is answered,
    and many of them may arrive in one turn of the event loop.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiting: dict[str, deque[asyncio.Future[Any]]] = {}

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """A block for one request of ``client``. If the client leaves while it waits, the request is cancelled."""
        if self._taken:
            await self._wait(client)
        self._taken = True
        began = time.perf_counter()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(time.perf_counter() - began, self._next)

    async def _wait(self, client: str) -> None:
        turn: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        pending = PENDING.get()
        if pending is not None:
            pending.add(turn)
            turn.add_done_callback(pending.discard)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had its turn, and cannot use it
                self._next()
            raise

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
