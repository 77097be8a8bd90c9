"""``POST /v1/systemone``: questions about a text in the System One protocol, answered from the labels of a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from ...errors import ModelUnknown
from ...labels import LabelSet
from ...prediction import AnswerOptions
from .. import operations
from ..access import Permission
from ..body import parse_object, read_body
from ..context import AppContext
from ..questions import Found, Question, SystemOneAnswer, SystemOneRequest, answered, parsed, question_of, text_of
from ..schema import error_responses, request_body
from ..store import Model
from ..turns import Turn

_EXAMPLE = {
    "state": "flights from boston to denver",
    "questions": {"flight": {"type": "noul", "instructions": "Does the customer ask for a flight?"}},
}
_DEFAULT = "default"
_EVERYTHING = AnswerOptions(top_k=0, probabilities=True)


def router(context: AppContext) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["systemone"])
    settings, admission, turns = context.settings, context.admission, context.turns

    @routes.post(
        "/v1/systemone",
        responses={
            200: {"model": SystemOneAnswer},
            **error_responses(400, 401, 403, 404, 413, 415, 423, 429, 503, 504),
        },
        openapi_extra=request_body(SystemOneRequest, _EXAMPLE),
        response_class=Response,
    )
    async def systemone(request: Request) -> Response:
        """Answer up to 255 questions about a text, in the System One protocol. The model reads the text once.

        `{"type": "choice", "criteria": {"LABEL": "", …}}` asks which of at most 255 options applies: labels of the
        model, and "none of these". `{"type": "noul"}` asks whether the label applies that is the id of the question or
        is named in `criteria.true`. A `score` is refused.
        """
        principal = await context.access.permit(request.scope, Permission.CLASSIFY)
        client = principal.client
        with admission.deadline():
            admission.admit()  # before reading the body, so that a rejection is cheap
            body = await read_body(request.scope, request.receive, settings.max_bulk_bytes, client)
            with ExitStack() as held:
                async with turns.turn(client) as turn:
                    asked = parsed(parse_object(body, json.dumps(_EXAMPLE)))
                    model, text = _model(context, asked.model), text_of(asked.state)
                    generation = held.enter_context(model.current)
                    questions = await _questions(asked.questions, generation.bundle.labels, turn)
                result = await context.ask_one(operations.Request(text, _EVERYTHING), generation, client)
                async with turns.turn(client) as turn:
                    answers = await _answers(questions, Found.of(json.loads(result.body)), turn)
        tokens = operations.Classify().cost(text, generation.facts)
        sent = {
            "model": model.name,
            "bundle": generation.bundle.manifest.id,
            "answers": answers,
            "usage": {"input_tokens": tokens, "output_tokens": 0},
        }
        return Response(to_json(sent), media_type="application/json")

    return routes


def _model(context: AppContext, name: str | None) -> Model:
    """The model called ``name``; ``default`` is the default, unless a model is called so.

    Raises:
        NotReady, ModelUnknown: it is not loaded, or there is none.
    """
    try:
        return context.store.get(name)
    except ModelUnknown:
        if name != _DEFAULT:
            raise
        return context.store.get()


async def _questions(given: Mapping[str, object], labels: LabelSet, turn: Turn) -> list[Question]:
    questions = []
    for name, each in given.items():
        questions.append(question_of(name, each, labels))
        if turn.over():
            await turn.pause()
    return questions


async def _answers(questions: Sequence[Question], found: Found, turn: Turn) -> dict[str, object]:
    answers: dict[str, object] = {}
    for question in questions:
        answers[question.name] = answered(question, found)
        if turn.over():
            await turn.pause()
    return answers
