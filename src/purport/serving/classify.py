"""``POST /v1/classify``: many texts in one request, or a stream of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ..errors import BodyTooLarge, OptionInvalid, PurportError, RequestError, TextsInvalid
from ..settings import ServerSettings
from .access import Access
from .body import check_text, parse_object, parse_text, read_body
from .engine import Engine
from .errors import body_of
from .logs import REQUEST_ID
from .models import Generation
from .render import TOP, Rendered, Wanted
from .schema import CLASSIFY_ANSWER, CLASSIFY_BODY, error_responses

MOST_TEXTS = 1024
NDJSON = "application/x-ndjson"
Future: TypeAlias = "asyncio.Future[Rendered]"
_EXAMPLE = '{"texts": ["..."]}'
# Lines of a stream that are under way at once.
_WINDOW = 256


class Options(BaseModel):
    """What a client may ask for beside the texts; unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model: str | None = None
    top_k: int = Field(TOP, ge=0, le=10_000)
    threshold: float | None = Field(None, ge=0, le=1)
    probabilities: bool = False

    def wanted(self) -> Wanted:
        """The same as the workers are told."""
        return Wanted(self.top_k, True, self.probabilities, self.threshold)


@dataclass(frozen=True)
class _Asked:
    """The options of a request, and the generation that its model had when it came."""

    model: str
    generation: Generation
    wanted: Wanted


def router(engine: Engine, access: Access, settings: ServerSettings) -> APIRouter:
    """The route, around ``engine``."""
    routes = APIRouter(tags=["classify"])

    @routes.post(
        "/v1/classify",
        responses={
            200: {"description": "One result per text, in order.", "content": CLASSIFY_ANSWER},
            **error_responses(400, 401, 403, 404, 413, 415, 423, 429, 503, 504),
        },
        openapi_extra={"requestBody": CLASSIFY_BODY},
        response_class=Response,
    )
    async def classify(request: Request) -> Response:
        """Answer up to 1,024 texts; each fails alone.

        With `Content-Type: application/x-ndjson` the body is a stream of any length, one `{"text": …}` a line with
        the options in the query, and each answer is a line that is sent when it is known, in order.
        """
        access.check(request.scope, "classify")
        engine.require_loaded()
        if _kind(request) == NDJSON:
            asked = _asked(engine, _from_query(request.query_params))
            return _Lines(_stream(engine, asked, request, settings.max_body_bytes))
        async with engine.deadline():
            body = parse_object(await read_body(request.scope, request.receive, settings.max_bulk_bytes), _EXAMPLE)
            texts = _texts(body)
            asked = _asked(engine, {name: value for name, value in body.items() if name in Options.model_fields})
            engine.admit(len(texts), bulk=True)
            results = await _all(engine, asked, texts)
        return Response(_answer(asked, results), media_type="application/json")

    return routes


class _Lines(Response):
    """A stream of lines while the request is still being read, which the framework's own kind would read away."""

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


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _texts(body: Mapping[str, Any]) -> list[object]:
    texts = body.get("texts")
    if not isinstance(texts, list) or not 1 <= len(texts) <= MOST_TEXTS:
        raise TextsInvalid(f'"texts" must be a list of 1 to {MOST_TEXTS} texts; stream more as {NDJSON}.')
    return texts


def _from_query(query: Mapping[str, str]) -> dict[str, object]:
    """Options of a stream: as JSON where they are numbers or truth values."""
    options: dict[str, object] = {}
    for name in Options.model_fields.keys() & query.keys():
        try:
            options[name] = query[name] if name == "model" else json.loads(query[name])
        except ValueError:
            options[name] = query[name]
    return options


def _asked(engine: Engine, fields: Mapping[str, object]) -> _Asked:
    try:
        options = Options.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        raise OptionInvalid(f'"{first["loc"][0]}": {first["msg"]}.') from None
    model = engine.models.get(options.model)
    return _Asked(model.name, model.current, options.wanted())


async def _all(engine: Engine, asked: _Asked, texts: list[object]) -> list[bytes]:
    pending = [_begin(engine, asked, text) for text in texts]
    try:
        return [await _finish(each) for each in pending]
    finally:
        for each in pending:
            if isinstance(each, asyncio.Future):
                each.cancel()


def _begin(engine: Engine, asked: _Asked, text: object) -> Future | RequestError:
    try:
        return engine.ask(check_text(text), asked.wanted, asked.generation, bulk=True)
    except RequestError as error:
        return error


async def _finish(pending: Future | RequestError) -> bytes:
    if isinstance(pending, RequestError):
        return _failed(pending)
    try:
        return (await pending).body
    except PurportError as error:
        return _failed(error)


def _failed(error: PurportError) -> bytes:
    return json.dumps({"error": body_of(error, REQUEST_ID.get())}, ensure_ascii=False).encode()


def _answer(asked: _Asked, results: list[bytes]) -> bytes:
    head = json.dumps({"model": asked.model, "bundle": asked.generation.bundle.manifest.id}, ensure_ascii=False)
    return b'%s, "results": [%s]}' % (head[:-1].encode(), b", ".join(results))


async def _stream(engine: Engine, asked: _Asked, request: Request, limit: int) -> AsyncIterator[bytes]:
    """Read and answer side by side: an answer never waits for the next line."""
    pending: asyncio.Queue[Future | RequestError | None] = asyncio.Queue(_WINDOW)

    async def read() -> None:
        try:
            async for line in _lines(request, limit):
                await engine.room_for_bulk()
                await pending.put(line if isinstance(line, RequestError) else _begin_line(engine, asked, line))
        except ClientDisconnect:
            pass
        finally:
            await pending.put(None)

    reading = asyncio.create_task(read())
    try:
        while (each := await pending.get()) is not None:
            try:
                async with engine.deadline():
                    line = await _finish(each)
            except RequestError as error:
                line = _failed(error)
            yield line + b"\n"
    finally:
        reading.cancel()
        while not pending.empty():
            if isinstance(each := pending.get_nowait(), asyncio.Future):
                each.cancel()


def _begin_line(engine: Engine, asked: _Asked, line: bytes) -> Future | RequestError:
    try:
        return _begin(engine, asked, parse_text(line))
    except RequestError as error:
        return error


async def _lines(request: Request, limit: int) -> AsyncIterator[bytes | RequestError]:
    """The lines of the body that hold anything; one over the limit is an error, and the last thing that is read."""
    rest = bytearray()
    async for chunk in request.stream():
        rest += chunk
        *lines, tail = bytes(rest).split(b"\n")
        rest = bytearray(tail)
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > limit:
            yield BodyTooLarge(f"A line has more than {limit} bytes; what follows it was not read.")
            return
    if rest.strip():
        yield bytes(rest)
