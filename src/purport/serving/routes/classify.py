"""``POST /v1/classify``: many texts in one request, or a stream of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from fastapi import APIRouter, Request, Response
from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ...errors import BodyTooLarge, DeadlineExceeded, OptionInvalid, PurportError, RequestError, TextsInvalid
from ...prediction import AnswerOptions
from ...runtime.memory import MEMORY_FILE
from .. import operations
from ..access import Permission, Principal
from ..body import HELD, check_text, parse_object, read_body
from ..context import AppContext
from ..generation import Generation
from ..http_errors import body_of
from ..logs import REQUEST_ID
from ..schema import (
    MOST_TEXTS,
    ClassifyAnswer,
    ClassifyRequest,
    Options,
    error_responses,
    parse_text,
    request_body,
    validated,
)  # fmt: skip
from ..turns import Turns

NDJSON = "application/x-ndjson"
Future: TypeAlias = "asyncio.Future[operations.Result]"
_EXAMPLE = {"texts": ["flights from boston to denver"], "top_k": 1}
_TEXTS = f'"texts" must be a list of 1 to {MOST_TEXTS} texts; to send more, stream them as {NDJSON}.'
# Largest number of lines of a stream that are processed at once.
_WINDOW = 256
# A stream may be silent so long.
_IDLE_S = 60.0


def router(context: AppContext) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["classify"])
    settings, admission, turns = context.settings, context.admission, Turns()

    def begin(principal: Principal, body: bytes) -> tuple[Batch, list[Future | RequestError]]:
        asked = validated(ClassifyRequest, parse_object(body, json.dumps(_EXAMPLE)), {"texts": TextsInvalid(_TEXTS)})
        batch = Batch.of(context, principal.client, asked)
        context.access.count(principal, len(asked.texts), counted=1)
        admission.admit(len(asked.texts), client=principal.client)
        return batch, [batch.begin(text) for text in asked.texts]

    @routes.post(
        "/v1/classify",
        responses={200: {"model": ClassifyAnswer}, **error_responses(400, 401, 403, 404, 413, 415, 423, 429, 503, 504)},
        openapi_extra=request_body(ClassifyRequest, _EXAMPLE),
        response_class=Response,
    )
    async def classify(request: Request) -> Response:
        """Classify up to 1,024 texts; errors are per text.

        `Content-Type: application/x-ndjson` streams any number of lines: each line of the body is `{"text": …}`, the
        options are in the query string, and each answer is sent as a line as soon as it is ready, in order.
        """
        principal = await context.access.permit(request.scope, Permission.CLASSIFY)
        if _kind(request) == NDJSON:
            batch = Batch.of(context, principal.client, validated(Options, _from_query(request.query_params)))
            HELD.take(request.scope, settings.max_body_bytes, principal.client)  # as much as a line may have
            return _LineStream(_stream(batch, request, settings.max_body_bytes, principal))
        async with admission.deadline():
            client = principal.client
            admission.admit(client=client)  # before reading the body, so that a rejection is cheap
            body = await read_body(request.scope, request.receive, settings.max_bulk_bytes, client)
            async with turns.turn(client) if len(body) > settings.max_body_bytes else nullcontext():
                batch, pending = begin(principal, body)
            with batch.generation:
                results = await all_of(pending)
        return Response(batch.answer(results), media_type="application/json")

    return routes


@dataclass(frozen=True)
class Batch:
    """The client and the options of a bulk request, and the generation of its model when the request arrived."""

    context: AppContext
    client: str
    model: str
    generation: Generation
    options: AnswerOptions

    @classmethod
    def of(cls, context: AppContext, client: str, options: Options) -> Batch:
        """A batch of ``client`` with these ``options``.

        Raises:
            NotReady, ModelUnknown: the model is not loaded, or there is no such model.
            OptionInvalid: ``examples`` of a model that does not remember any.
        """
        model = context.store.get(options.model)
        if options.examples and MEMORY_FILE not in model.current.bundle.manifest.files:
            raise OptionInvalid(
                f'"examples": the bundle of model "{model.name}" does not remember its training examples; '
                "train it again."
            )
        return cls(context, client, model.name, model.current, options.answer_options())

    def begin(self, text: object) -> Future | RequestError:
        """Start classifying ``text``; an error if it is not a text."""
        try:
            request = operations.Request(check_text(text), self.options)
        except RequestError as error:
            return error
        return self.context.dispatch.ask(operations.CLASSIFY, request, self.generation, client=self.client)

    def begin_line(self, line: bytes) -> Future | RequestError:
        """The same for a line of a stream."""
        try:
            return self.begin(parse_text(line))
        except RequestError as error:
            return error

    def answer(self, results: list[bytes]) -> bytes:
        """The body of the response."""
        head = to_json({"model": self.model, "bundle": self.generation.bundle.manifest.id})
        return b'%s,"results":[%s]}' % (head[:-1], b",".join(results))


async def all_of(pending: list[Future | RequestError]) -> list[bytes]:
    """One result per text, in order."""
    try:
        return [await finish(each) for each in pending]
    finally:
        for each in pending:
            if isinstance(each, asyncio.Future):
                each.cancel()


async def finish(pending: Future | RequestError) -> bytes:
    """The result or the error as JSON."""
    if isinstance(pending, RequestError):
        return _failed(pending)
    try:
        return (await pending).body
    except PurportError as error:
        return _failed(error)


def _failed(error: PurportError) -> bytes:
    if not isinstance(error, RequestError):  # its reason is for the log
        structlog.get_logger("purport.requests").error("failed", request_id=REQUEST_ID.get(), reason=str(error))
    return to_json({"error": body_of(error, REQUEST_ID.get())})


class _LineStream(Response):
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


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _from_query(query: Mapping[str, str]) -> dict[str, object]:
    """The options of a stream; numbers and booleans are parsed as JSON."""
    options: dict[str, object] = {}
    for name in query:
        try:
            options[name] = query[name] if name == "model" else json.loads(query[name])
        except ValueError:
            options[name] = query[name]
    return options


async def _stream(batch: Batch, request: Request, limit: int, principal: Principal) -> AsyncIterator[bytes]:
    """Read and answer concurrently, so that an answer never waits for the next line."""
    pending: asyncio.Queue[Future | RequestError | None] = asyncio.Queue(_WINDOW)
    admission = batch.context.admission

    def begin(line: bytes | RequestError, counted: int) -> Future | RequestError:
        try:
            batch.context.access.count(principal, counted=counted)
        except RequestError as error:
            return error
        return line if isinstance(line, RequestError) else batch.begin_line(line)

    async def read() -> None:
        try:
            counted = 1  # the request itself
            async for line in _lines(request, limit):
                await admission.room(batch.client)
                await pending.put(begin(line, counted))
                counted = 0
        except ClientDisconnect:
            pass
        finally:
            await pending.put(None)

    reading = asyncio.create_task(read())
    with batch.generation:
        try:
            while (each := await pending.get()) is not None:
                try:
                    async with admission.deadline():
                        line = await finish(each)
                except RequestError as error:
                    line = _failed(error)
                yield line + b"\n"
        finally:
            reading.cancel()
            while not pending.empty():
                if isinstance(each := pending.get_nowait(), asyncio.Future):
                    each.cancel()


async def _lines(request: Request, limit: int) -> AsyncIterator[bytes | RequestError]:
    """The non-empty lines of the body. A line over the limit gives an error, and reading stops."""
    rest = bytearray()
    chunks = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(_IDLE_S):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except TimeoutError:
            yield DeadlineExceeded(f"No line came for {_IDLE_S:g} seconds; the rest of the stream was not read.")
            return
        rest += chunk
        *lines, tail = bytes(rest).split(b"\n")
        rest = bytearray(tail)
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > limit:
            yield BodyTooLarge(f"A line has more than {limit} bytes; the rest of the stream was not read.")
            return
    if rest.strip():
        yield bytes(rest)
