"""Bounds the answers that were made and that their clients do not read."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import Overloaded
from .body import HELD_KEY, Held
from .http_errors import answer

LARGE_ANSWER = 16_384
"""Bytes of an answer from which on it counts; a connection that has so many unread is given no others to write."""
_MOST = 32 * 2**20
_KEY = "purport.unread"
_AGAIN_S = 0.05
_CHANGING = "/v1/models/"
UNREAD = Held(_MOST, "The answers that are being read are too large together; read them, and try again later.")
"""Those of this process. They are not among the bodies, so who reads nothing leaves room for what others send."""


class AnswersBounded:
    """Refuses (503) to send large answers while others are unread; a client may have as much unread as is then free.

    What says that a model was changed is always sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or (scope["method"] != "GET" and scope["path"].startswith(_CHANGING)):
            await self._app(scope, receive, send)
            return
        refused = False

        async def bounded(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and (size := _length(message)) > LARGE_ANSWER:
                try:
                    hold(scope, size)
                except Overloaded as error:
                    refused = True
                    await answer(error)(scope, receive, send)
            if not refused:
                await send(message)

        try:
            await self._app(scope, receive, bounded)
        finally:
            if charge := scope.pop(_KEY, None):  # no connection has taken it, because the answer was not completed
                UNREAD.give(charge)


class Unread:
    """The answers of one connection that its client has not read."""

    def __init__(self) -> None:
        self._charges: list[dict[str, Any]] = []

    def add(self, scope: Any, *, read: bool) -> None:
        """The answer to the request of ``scope`` was written, and may have been read, with those before it."""
        if charge := scope.pop(_KEY, None):
            self._charges.append(charge)
        if read:
            self.clear()

    def clear(self) -> None:
        """The client has read them, or has gone."""
        while self._charges:
            UNREAD.give(self._charges.pop())


def hold(scope: Scope, size: int) -> None:
    """Count ``size`` bytes of the answer to the request of ``scope`` as unread, instead of those that counted before.

    Raises:
        Overloaded: all that is unread would be too much; those before go on counting.
    """
    client = scope.get(HELD_KEY, (0, None))[1] or (scope.get("client") or ("",))[0]
    charge: dict[str, Any] = scope.get(_KEY, {})
    more = min(size, _MOST // 2) - charge.get(HELD_KEY, (0, None))[0]  # one answer is always possible, however large
    if more < 0:
        more += charge[HELD_KEY][0]
        UNREAD.give(charge)
    UNREAD.take(charge, more, client)
    scope[_KEY] = charge


async def hold_soon(scope: Scope, size: int, seconds: float) -> None:
    """The same as soon as there is room, within so many ``seconds``: others may read their answers, or leave.

    Raises:
        Overloaded: there is none.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return hold(scope, size)
        except Overloaded:
            if time.monotonic() >= end:
                raise
        await asyncio.sleep(_AGAIN_S)


def _length(start: Message) -> int:
    return next((int(value) for name, value in start["headers"] if name == b"content-length"), 0)
