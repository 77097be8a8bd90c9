"""HTTP as uvicorn speaks it: a client that leaves is noticed at once, and what is not HTTP gets an error of ours."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ..errors import BodyInvalid
from .http_errors import answer
from .logs import PENDING_KEY


class Protocol(HttpToolsProtocol):
    """The protocol of one connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left: nobody needs the answers that its request waits for."""
        if self.cycle is not None:
            pending: Any = self.cycle.scope.get(PENDING_KEY, ())
            for future in tuple(pending):
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
