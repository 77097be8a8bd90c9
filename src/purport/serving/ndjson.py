"""Streams of lines over HTTP: the request is read while the response is written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors import BodyTooLarge, DeadlineExceeded, RequestError

NDJSON = "application/x-ndjson"
# A stream may be silent so long.
_IDLE_S = 60.0


class LineStream(Response):
    """Streams lines while the request is still being read; the framework's own class would consume the request."""

    media_type = NDJSON

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for line in self._lines:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def lines_of(request: Request, limit: int) -> AsyncIterator[deque[bytes | RequestError]]:
    """The non-empty lines of the body, as they arrive. A line over the limit gives an error, and reading stops."""
    loop, rest, chunks = asyncio.get_running_loop(), bytearray(), aiter(request.stream())
    end = loop.time() + _IDLE_S
    while True:
        try:
            async with asyncio.timeout_at(end):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except TimeoutError:
            late = f"No line came for {_IDLE_S:g} seconds; the rest of the stream was not read."
            yield deque([DeadlineExceeded(late)])
            return
        rest += chunk
        *lines, tail = bytes(rest).split(b"\n")
        rest = bytearray(tail)
        if lines:
            yield deque(line for line in lines if line.strip())
            end = loop.time() + _IDLE_S
        if len(rest) > limit:
            yield deque([BodyTooLarge(f"A line has more than {limit} bytes; the rest of the stream was not read.")])
            return
    if rest.strip():
        yield deque([bytes(rest)])
