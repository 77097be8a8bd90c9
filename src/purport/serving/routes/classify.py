"""``POST /v1/classify``: many texts in one request, or a stream of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import structlog
from fastapi import APIRouter, Request, Response
from pydantic_core import to_json
from starlette.requests import ClientDisconnect

from ...errors import OptionInvalid, Overloaded, PurportError, RequestError, TextsInvalid
from ...prediction import AnswerOptions
from ...runtime.memory import MEMORY_FILE
from .. import operations
from ..access import Permission, Principal
from ..admission import Admission
from ..body import HELD, check_text, parse_object, read_body
from ..context import AppContext
from ..generation import Generation
from ..http_errors import body_of
from ..logs import REQUEST_ID
from ..ndjson import NDJSON, LineStream, lines_of
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
from ..turns import Turn, Turns
from ..unread import hold_soon

Future: TypeAlias = "asyncio.Future[operations.Result]"
Pending: TypeAlias = "Future | PurportError"
_EXAMPLE = {"texts": ["flights from boston to denver"], "top_k": 1}
_TEXTS = f'"texts" must be a list of 1 to {MOST_TEXTS} texts; to send more, stream them as {NDJSON}.'
# Largest number of lines of a stream that are processed at once.
_WINDOW = 256
_WINDOW_BYTES = 262_144  # about so many bytes of their answers
_NAMED = 32  # bytes of an answer for each label that it names, before the first answer is there


def router(context: AppContext) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["classify"])
    settings, admission, turns = context.settings, context.admission, context.turns

    def begin(principal: Principal, body: bytes) -> tuple[Batch, list[object]]:
        asked = validated(ClassifyRequest, parse_object(body, json.dumps(_EXAMPLE)), {"texts": TextsInvalid(_TEXTS)})
        batch = Batch.of(context, principal.client, asked)
        context.access.count(principal, len(asked.texts), counted=1)
        admission.admit(len(asked.texts), client=principal.client)
        return batch, asked.texts

    @routes.post(
        "/v1/classify",
        responses={200: {"model": ClassifyAnswer}, **error_responses(400, 401, 403, 404, 413, 415, 423, 429, 503, 504)},
        openapi_extra=request_body(ClassifyRequest, _EXAMPLE),
        response_class=Response,
    )
    async def classify(request: Request) -> Response:
        """Classify up to 1,024 texts; errors are per text.

        `Content-Type: application/x-ndjson` streams any number of lines: each line of the body is `{"text": …}`, the
        options are in the query string, and each answer is sent as a line as soon as it is ready, in order. Blank lines
        are skipped and get no answer.
        """
        principal = await context.access.permit(request.scope, Permission.CLASSIFY)
        if _kind(request) == NDJSON:
            batch = Batch.of(context, principal.client, validated(Options, _from_query(request.query_params)))
            HELD.take(request.scope, settings.max_body_bytes, principal.client)  # as much as a line may have
            return LineStream(_stream(batch, request, turns, principal))
        with admission.deadline():
            client = principal.client
            admission.admit(client=client)  # before reading the body, so that a rejection is cheap
            body = await read_body(request.scope, request.receive, settings.max_bulk_bytes, client)
            with ExitStack() as held:
                async with turns.turn(client) as turn:
                    batch, texts = begin(principal, body)
                    held.enter_context(batch.generation)
                    pending = await batch.begin_all(texts, turn)
                answer = await batch.answer(pending, turns)
        return Response(answer, media_type="application/json")

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

    def begin(self, text: object) -> Pending:
        """Start classifying ``text``; an error if it is not a text."""
        try:
            request = operations.Request(check_text(text), self.options)
        except RequestError as error:
            return error.with_traceback(None)  # thousands of frames would wait for the collector
        return self.context.dispatch.ask(operations.CLASSIFY, request, self.generation, client=self.client)

    def begin_line(self, line: bytes) -> Pending:
        """The same for a line of a stream."""
        try:
            return self.begin(parse_text(line))
        except RequestError as error:
            return error

    async def begin_all(self, texts: list[object], turn: Turn) -> list[Pending]:
        """Start classifying ``texts``, in pieces."""
        pending: list[Pending] = []
        try:
            for text in texts:
                pending.append(self.begin(text))
                if turn.over():
                    await turn.pause()
        except BaseException:
            _cancel(pending)
            raise
        return pending

    async def answer(self, pending: list[Pending], turns: Turns) -> bytes:
        """The body of the response, with one result per text, in order; it is made in pieces when all are there."""
        results: list[bytes] = []
        try:
            for each in pending:
                if isinstance(each, asyncio.Future) and not each.done():
                    with suppress(PurportError):
                        await each
            async with turns.turn(self.client) as turn:
                for each in pending:
                    results.append(_result(each))
                    if turn.over():
                        await turn.pause()
                head = to_json({"model": self.model, "bundle": self.generation.bundle.manifest.id})
                return b'%s,"results":[%s]}' % (head[:-1], b",".join(results))
        finally:
            _cancel(pending)


def _settled(pending: Pending | None) -> TypeGuard[Pending]:
    return isinstance(pending, PurportError) or (isinstance(pending, asyncio.Future) and pending.done())


def _cancel(pending: Iterable[object]) -> None:
    for each in pending:
        if isinstance(each, asyncio.Future):
            each.cancel()


def _result(pending: Pending) -> bytes:
    """The result or the error, which is there, as JSON."""
    if isinstance(pending, PurportError):
        return _failed(pending)
    try:
        return pending.result().body
    except PurportError as error:
        return _failed(error)


def _failed(error: PurportError) -> bytes:
    if not isinstance(error, RequestError):  # its reason is for the log
        structlog.get_logger("purport.requests").error("failed", request_id=REQUEST_ID.get(), reason=str(error))
    return to_json({"error": body_of(error, REQUEST_ID.get())})


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _from_query(query: Mapping[str, str]) -> dict[str, object]:
    """The options of a stream; numbers and booleans are parsed as JSON."""
    options: dict[str, object] = {}
    for name in query:
        try:
            options[name] = query[name] if name == "model" else json.loads(query[name])
        except (ValueError, RecursionError):
            options[name] = query[name]
    return options


class Window(asyncio.Queue["Pending | None"]):
    """The lines of a stream whose answers were not sent yet: so many, or so few that their answers are not too large.

    While the client reads nothing, all of them stay.
    """

    def __init__(self, batch: Batch) -> None:
        super().__init__(_WINDOW)
        labels = batch.generation.labels
        named = min(batch.options.top_k, labels) + (labels if batch.options.probabilities else 0)
        self.largest = _NAMED * named

    def full(self) -> bool:
        """Whether the next line has to wait."""
        return super().full() or self.bytes() >= _WINDOW_BYTES

    def bytes(self) -> int:
        """About how large all answers are together, at most."""
        return self.qsize() * self.largest


async def _stream(batch: Batch, request: Request, turns: Turns, principal: Principal) -> AsyncIterator[bytes]:
    """Read and answer concurrently, so that an answer never waits for the next line.

    What is answered counts as unread until the client has taken it. If there is too much, the stream waits; if there is
    still too much when the time is over, the last line says so.
    """
    pending, counted = Window(batch), 1  # the request itself
    admission, settings = batch.context.admission, batch.context.settings

    def begin(line: bytes | RequestError) -> Pending:
        nonlocal counted
        before, counted = counted, 0
        try:
            batch.context.access.count(principal, counted=before)
        except RequestError as error:
            return error
        return line if isinstance(line, RequestError) else batch.begin_line(line)

    async def read() -> None:
        try:
            async for lines in lines_of(request, settings.max_body_bytes):
                while lines:
                    await admission.room(batch.client)
                    async with turns.turn(batch.client) as turn:
                        each = begin(lines.popleft())
                        while lines and not (turn.over() or pending.full()) and admission.has_room(batch.client):
                            pending.put_nowait(each)
                            each = begin(lines.popleft())
                    await pending.put(each)
        except ClientDisconnect:
            pass
        finally:
            await pending.put(None)

    refused: Overloaded | None = None
    reading = asyncio.create_task(read())
    with batch.generation:
        try:
            async for answers in _answers(pending, admission, turns, batch.client):
                await hold_soon(request.scope, len(answers) + pending.bytes(), settings.deadline_ms / 1000)
                yield answers
        except Overloaded as error:
            refused = error
        finally:
            reading.cancel()
            while not pending.empty():
                _cancel([pending.get_nowait()])
    if refused is not None:
        yield b"%s\n" % _failed(refused)


async def _answers(pending: Window, admission: Admission, turns: Turns, client: str) -> AsyncIterator[bytes]:
    """The lines of the response: what is there is written together, and nothing waits for more."""
    each = await pending.get()
    while each is not None:
        each = await _in_time(each, admission)
        lines, following = [], False
        async with turns.turn(client) as turn:
            while _settled(each):
                lines.append(_result(each))
                pending.largest = max(pending.largest, len(lines[-1]))
                following = not pending.empty()
                if not following:
                    break
                each = pending.get_nowait()
                if turn.over():
                    break
        yield b"\n".join([*lines, b""])
        if not following:
            each = await pending.get()


async def _in_time(pending: Pending, admission: Admission) -> Pending:
    """``pending`` when it is there, or the error if it is not within the deadline."""
    if isinstance(pending, asyncio.Future) and not pending.done():
        try:
            with admission.deadline():
                await pending
        except PurportError as error:
            return error
    return pending
