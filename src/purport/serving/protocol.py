"""uvicorn's HTTP protocol, which also reacts to disconnects at once and answers malformed HTTP with a JSON error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..errors import BodyInvalid
from .http_errors import answer, raw
from .logs import PENDING_KEY
from .operations import Result

Early = Callable[[bytes, bytes, int], bytes | None]
"""From a method, a target and the number of open requests to a response that bypasses the application, or ``None``."""


class _Answered:
    """Placeholder for a request that was already answered: the rest of its data is ignored."""

    response_complete = True
    message_event = asyncio.Event()


class Protocol(HttpToolsProtocol):
    """The protocol of one connection; ``early`` may answer a request as soon as its headers have arrived."""

    def __init__(self, *args: Any, early: Early, **options: Any) -> None:
        super().__init__(*args, **options)
        self._early = early
        self._pending: set[asyncio.Future[Result]] = set()

    def on_message_begin(self) -> None:
        """A request begins: attach the set of futures that it will wait for."""
        super().on_message_begin()
        self.scope[PENDING_KEY] = self._pending  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        """The headers of a request have arrived."""
        found = self._early(self.parser.get_method(), self.url, len(self.tasks)) if self._is_simple() else None
        if found is None:
            super().on_headers_complete()
        else:
            self.cycle = _Answered()  # type: ignore[assignment]
            self.transport.write(found)
            self.on_response_complete()

    def _is_simple(self) -> bool:
        """Whether no other request is open on this connection, and the connection stays open after the response."""
        parser = self.parser
        return (
            (self.cycle is None or self.cycle.response_complete)
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not (self.expect_100_continue or parser.should_upgrade())
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """The client disconnected: cancel the answers that its requests wait for."""
        for future in tuple(self._pending):
            future.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP with a JSON error like every other error."""
        response = answer(BodyInvalid(msg))
        response.headers["Connection"] = "close"
        self.transport.write(raw(response))
        self.transport.close()
