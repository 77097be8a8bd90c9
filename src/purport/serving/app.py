"""The ASGI application: combines the routes and turns errors into responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import __version__, registry
from ..errors import MethodNotAllowed, OptionInvalid, PathUnknown, PurportError, RequestError
from ..invalid import says
from . import intent
from .context import AppContext
from .http_errors import HTTP, answer, internal_error
from .logs import REQUEST_ID, RequestLog
from .schema import IntentAnswer, IntentRequest, error_responses, request_body
from .unread import AnswersBounded


def create_app(context: AppContext) -> ASGIApp:
    """The application for ``context``, which is started and stopped with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(context.start())
        yield
        loading.cancel()
        await context.stop()

    # Internal errors leave the framework and are answered by RequestLog.
    app = FastAPI(
        title="Purport",
        version=__version__,
        summary="Classifies utterances by intent.",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": context.settings.root_path}] if context.settings.root_path else None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_exception_handler(PurportError, _purport_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _gone)

    async def unexpected(request: Request, error: Exception) -> Response:
        return internal_error(REQUEST_ID.get(), repr(error) if context.settings.debug else None)

    app.add_exception_handler(Exception, unexpected)

    for _, router in registry.load_all("routes"):
        app.include_router(router(context))
    route = _document_intent(app)

    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> JSONResponse:
        return JSONResponse(app.openapi())

    for operation in (operation for path in app.openapi()["paths"].values() for operation in path.values()):
        # The framework's own validation error, which is never sent.
        operation["responses"].pop("422", None)
    return RequestLog(intent.IntentRoute(AnswersBounded(_HeadAsGet(app)), route, context), context.settings)


class _HeadAsGet:
    """Answers HEAD as GET; the server leaves out the body, because it keeps the scope with the real method."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "HEAD":
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive, send)
        finally:
            scope["route"] = asked.get("route")


def _document_intent(app: FastAPI) -> object:
    """Register the route of ``POST /intent``, which IntentRoute answers, for OpenAPI and for other methods."""

    @app.post(
        intent.PATH,
        tags=["intent"],
        responses={200: {"model": IntentAnswer}, **error_responses(400, 401, 403, 413, 415, 423, 429, 503, 504)},
        openapi_extra=request_body(IntentRequest, {"text": "find me a flight that flies from Memphis to tacoma"}),
        name="intent",
        response_class=Response,
    )
    async def documented() -> Response:
        """The three most likely intents of one text, most confident first.

        Confidences are calibrated probabilities. If the text is longer than the model reads, only a part of it is
        used and the response has the header ``Purport-Truncated: true``. If no label is decided, so that the text is
        out of scope, the three most likely ones are in the answer all the same, and the header
        ``Purport-Out-Of-Scope: true`` says so.
        """
        raise AssertionError("answered by IntentRoute")

    return next(route for route in app.routes if getattr(route, "name", "") == "intent")


async def _purport_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PurportError)
    if not isinstance(error, RequestError):
        raise error  # not the client's fault: logged, and answered as an internal error
    return answer(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    if error.status_code == 405:
        allow = {"Allow": _allowed(request, (error.headers or {}).get("Allow", ""))}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allow)
        response = answer(MethodNotAllowed(f"{request.method} is not allowed on {path}."))
        response.headers.update(allow)
        return response
    if error.status_code == 404:
        return answer(PathUnknown(f"There is no path {path}; /openapi.json lists the paths."))
    # Raised by a third-party route.
    label = next((label for status, label in HTTP.values() if status == error.status_code), None)
    label = label or HTTPStatus(error.status_code).name
    return JSONResponse({"label": label, "message": str(error.detail)}, error.status_code, error.headers)


def _allowed(request: Request, told: str) -> str:
    """The methods of a path. It may have several routes, but the framework only names those of the first (``told``)."""
    paths = request.app.openapi()["paths"].items()
    known = [operations for path, operations in paths if compile_path(path)[0].match(request.scope["path"])]
    methods = {method.upper() for operations in known for method in operations} or set(told.split(", "))
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return answer(OptionInvalid(f'"{first["loc"][-1]}" {says([first])}.'))


async def _gone(request: Request, error: Exception) -> Response:
    """The client disconnected before its body was complete: nobody reads this response, but it is logged."""
    return Response(status_code=499)
