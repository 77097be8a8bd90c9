"""``POST /intent``, answered without the web framework."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import RequestError
from .access import Permission
from .body import read_body
from .context import AppContext
from .http_errors import answer
from .operations import INTENT, Request, Result
from .schema import parse_text

PATH = "/intent"
_JSON = (b"content-type", b"application/json")


class IntentRoute:
    """Answers ``POST /intent`` itself and passes everything else on to ``app``.

    Routing, dependency injection and response models of the framework cost as much as parsing HTTP, and this path gets
    most of the traffic. ``route`` is the framework's entry for the path.
    """

    def __init__(self, app: ASGIApp, route: object, context: AppContext) -> None:
        self._app = app
        self._route = route
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        try:
            bundle, result = await self._answer(scope, receive)
        except RequestError as error:
            await answer(error)(scope, receive, send)
            return
        length = str(len(result.body)).encode()
        headers = [_JSON, (b"content-length", length), (b"purport-bundle", bundle), *result.headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": result.body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[bytes, Result]:
        context, admission = self._context, self._context.admission
        with admission.deadline():
            principal = await context.access.permit(scope, Permission.INTENT)
            admission.admit()  # before reading the body, so that a rejection is cheap
            with context.store.get().current as generation:
                text = parse_text(await read_body(scope, receive, context.settings.max_body_bytes))
                result = await context.ask_one(Request(text, INTENT), generation, principal.client)
        return generation.bundle.manifest.id.encode(), result
