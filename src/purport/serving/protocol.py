"""HTTP as uvicorn speaks it: a client that leaves is noticed at once, and what is not HTTP gets an error of ours."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ..errors import BodyInvalid
from .http_errors import answer
from .logs import PENDING_KEY
from .operations import Result


class Protocol(HttpToolsProtocol):
    """The protocol of one connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pending: set[asyncio.Future[Result]] = set()

    def on_message_begin(self) -> None:
        """A request begins: the connection knows what it will wait for."""
        super().on_message_begin()
        self.scope[PENDING_KEY] = self._pending  # type: ignore[literal-required]

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left: nobody needs the answers that its requests wait for."""
        for future in tuple(self._pending):
            future.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is not even HTTP is answered in the form of every other error."""
        response = answer(BodyInvalid(msg))
        response.headers["Connection"] = "close"
        self.transport.write(_bytes(response))
        self.transport.close()


def _bytes(response: Response) -> bytes:
    head = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
    return STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)
