"""``POST /intent``: the contract, without a framework in its way."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import RequestError
from ..settings import ServerSettings
from .access import Access
from .body import parse_text, read_body
from .engine import Engine
from .errors import answer
from .render import Rendered

PATH = "/intent"
WAITING = "purport.waiting"
"""The key in the scope of a request under which the future lies that it waits for."""
SCOPE = "intent"
TRUNCATED_HEADER = "Purport-Truncated"
_BUNDLE = b"purport-bundle"
_JSON = (b"content-type", b"application/json")
_TRUNCATED = (TRUNCATED_HEADER.lower().encode(), b"true")


class IntentRoute:
    """Answers ``POST /intent`` itself and passes everything else on to ``app``.

    Routing, dependency injection and response models of the framework cost as much as parsing HTTP; this
    path has one body, one answer, and the traffic.
    """

    def __init__(self, app: ASGIApp, engine: Engine, access: Access, settings: ServerSettings) -> None:
        self._app = app
        self._engine = engine
        self._access = access
        self._limit = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            rendered = await self._answer(scope, receive)
        except RequestError as error:
            await answer(error)(scope, receive, send)
            return
        body = rendered.body
        headers = [_JSON, (b"content-length", str(len(body)).encode()), (_BUNDLE, rendered.bundle.encode())]
        if rendered.truncated:
            headers.append(_TRUNCATED)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Rendered:
        self._access.check(scope, SCOPE)
        self._engine.require_loaded()
        async with self._engine.deadline():
            text = parse_text(await read_body(scope, receive, self._limit))
            # The protocol cancels it when the client leaves.
            future = scope[WAITING] = self._engine.ask(text)
            try:
                return await future
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task and task.cancelling():
                    raise  # the deadline, or the end of the server
                raise ClientDisconnect from None
