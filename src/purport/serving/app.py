"""The ASGI application: ``GET /ready`` and ``POST /intent``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse

from .. import __version__
from ..errors import MethodNotAllowed, PathUnknown, PurportError, RequestError
from ..settings import ServerSettings
from .access import Keys, RateLimit
from .body import parse_text, read_body
from .engine import Engine
from .errors import HTTP, answer, internal_error
from .logs import REQUEST_ID
from .schema import ERROR_SCHEMA, INTENT_ANSWER, INTENT_BODY

TOP = 3
TRUNCATED_HEADER = "Purport-Truncated"


def create_app(engine: Engine, settings: ServerSettings) -> FastAPI:
    """The application around ``engine``; the engine is started and stopped with it.

    Raises:
        SettingsError: keys or rate limit cannot be read.
    """
    keys, rate_limit = Keys(settings.api_keys.get_secret_value()), RateLimit(settings.rate_limit)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(engine.start())
        yield
        loading.cancel()
        engine.stop()

    app = FastAPI(
        title="Purport",
        version=__version__,
        summary="Answers utterances with intents.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(PurportError, _purport_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _gone)

    async def unexpected(request: Request, error: Exception) -> Response:
        return internal_error(REQUEST_ID.get(), repr(error) if settings.debug else None)

    app.add_exception_handler(Exception, unexpected)

    @app.get("/ready", response_class=PlainTextResponse, responses=_ready_responses(), tags=["health"])
    async def ready(request: Request) -> Response:
        """200 ``OK`` when the model is loaded, 423 ``Not ready`` before that and while the server drains."""
        status, content = (200, "OK") if engine.ready else (423, "Not ready")
        kind = JSONResponse if _prefers_json(request.headers.get("accept", "")) else PlainTextResponse
        return kind(content, status)

    @app.post("/intent", responses=_intent_responses(), openapi_extra={"requestBody": INTENT_BODY}, tags=["intent"])
    async def intent(request: Request) -> Response:
        """The three likeliest intents of one text, by falling confidence.

        Confidences are calibrated probabilities. A text longer than the model reads is answered from its
        beginning, and the answer carries the header ``Purport-Truncated: true``.
        """
        rate_limit.check(keys.check(request, "intent"))
        engine.require_loaded()
        async with engine.deadline():
            text = parse_text(await read_body(request, settings.max_body_bytes))
            prediction = await engine.predict(text)
        intents = [{"label": scored.label, "confidence": round(scored.confidence, 6)} for scored in prediction.top(TOP)]
        headers = {TRUNCATED_HEADER: "true"} if prediction.truncated else None
        return JSONResponse({"intents": intents}, headers=headers)

    return app


async def _purport_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PurportError)
    if not isinstance(error, RequestError):
        raise error  # not the client's doing: logged and answered as an internal error
    return answer(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        response = answer(MethodNotAllowed(f"{request.method} is not allowed on {request.url.path}."))
        response.headers.update(error.headers or {})
        return response
    return answer(PathUnknown(f"There is no {request.url.path}."))


async def _gone(request: Request, error: Exception) -> Response:
    """The client left before its body was here: nobody reads this, the log shows it."""
    return Response(status_code=499)


def _prefers_json(accept: str) -> bool:
    """Whether ``application/json`` has a higher quality than ``text/plain`` (RFC 9110 §12.5.1)."""
    quality = {"application/json": 0.0, "text/plain": 0.0}
    rank = dict.fromkeys(quality, -1)
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_quality(value) for value in parameters if value.startswith("q=")), 1.0)
        for offered in quality:
            kind = offered.partition("/")[0]
            specific = {offered: 2, f"{kind}/*": 1, "*/*": 0}.get(media, -1)
            if specific > rank[offered]:
                rank[offered], quality[offered] = specific, weight
    return quality["application/json"] > quality["text/plain"]


def _quality(parameter: str) -> float:
    try:
        return float(parameter[2:])
    except ValueError:
        return 1.0


def _ready_responses() -> dict[int | str, dict[str, Any]]:
    either = {
        "text/plain": {"schema": {"type": "string"}},
        "application/json": {"schema": {"type": "string"}},
    }
    return {
        200: {"description": "The model is loaded.", "content": either},
        423: {"description": "It is not, or the server is about to stop.", "content": either},
    }


def _intent_responses() -> dict[int | str, dict[str, Any]]:
    labels: dict[int, list[str]] = {}
    for status, label in HTTP.values():
        labels.setdefault(status, []).append(label)
    errors: dict[int | str, dict[str, Any]] = {
        status: {
            "description": ", ".join(f"`{label}`" for label in names),
            "content": {"application/json": {"schema": ERROR_SCHEMA}},
        }
        for status, names in sorted(labels.items())
        if status not in (404, 405)
    }
    return {200: {"description": "The likeliest intents.", "content": INTENT_ANSWER}, **errors}
