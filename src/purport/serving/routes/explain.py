"""``POST /v1/explain``: why a text is answered as it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from ...errors import MethodUnfit, NotExplained, TextMissing, did_you_mean
from ...explaining.explain import LEAST_CALLS, calls_of, check, explainer_for, planned
from ...explaining.occlusion import OCCLUSION
from ...wording import sentence
from .. import operations
from ..access import Permission, Principal
from ..body import parse_object, read_body
from ..context import AppContext
from ..explain_schema import ExplainAnswer, ExplainRequest
from ..explanations import EXPLAIN, PROBE, Explain, ExplainOptions
from ..generation import Generation
from ..schema import error_responses, request_body, validated

# Texts that are asked at first (all that 16 words take), unless more are asked of a service at a time.
_FIRST = 17
# Share of the time limit that the work may take, as it is estimated.
_SHARE = 0.5
_EXAMPLE = {"text": "flights from boston to denver"}


def router(context: AppContext) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["explain"])
    settings, admission = context.settings, context.admission

    @routes.post(
        "/v1/explain",
        responses={
            200: {"model": ExplainAnswer},
            **error_responses(400, 401, 403, 404, 409, 413, 415, 423, 429, 503, 504),
        },
        openapi_extra=request_body(ExplainRequest, _EXAMPLE),
        response_class=Response,
    )
    async def explain(request: Request) -> Response:
        """Say why a text is answered as it is: what each word weighs, the nearest examples, and what would change it.

        An explanation asks the model tens of texts, and waits its turn among bulk requests. `shapley` asks hundreds.
        """
        principal = await context.access.permit(request.scope, Permission.CLASSIFY)
        client = principal.client
        with admission.deadline():
            admission.admit(client=client)  # before reading the body, so that a rejection is cheap
            body = await read_body(request.scope, request.receive, settings.max_body_bytes, client)
            asked = validated(
                ExplainRequest, parse_object(body, json.dumps(_EXAMPLE)), {"text": TextMissing('"text" is missing.')}
            )
            answer = await explained(context, asked, principal, counted=1)
        return Response(answer, media_type="application/json")

    return routes


async def explained(context: AppContext, asked: ExplainRequest, principal: Principal, *, counted: int = 0) -> bytes:
    """The explanation that ``principal`` has ``asked`` for, as :class:`ExplainAnswer` in JSON.

    It counts as the texts that it asks, of which ``counted`` have been counted before. The time limit is the caller's.

    Raises:
        TextInvalid, NotReady, ModelUnknown, NotExplained, RateLimited, Overloaded: it cannot be explained, or not now.
    """
    check(asked.text)
    model = context.store.get(asked.model)
    with model.current as generation:
        options = _options(asked, generation, context.settings.deadline_ms / 1000)
        context.access.count(principal, options.asked(asked.text), counted=counted)
        options = await _probed(context, asked.text, options, generation, principal.client)
        result = await context.dispatch.ask(
            EXPLAIN, operations.Request(asked.text, options), generation, client=principal.client
        )
    head = to_json({"model": model.name, "bundle": generation.bundle.manifest.id})
    return head[:-1] + b"," + result.body[1:]


def _options(asked: ExplainRequest, generation: Generation, deadline_s: float) -> ExplainOptions:
    """The options of ``asked``, which fit the bundle and the time limit.

    Raises:
        NotExplained: they do not.
    """
    bundle, names = generation.bundle, generation.bundle.labels.names
    if asked.label is not None and asked.label not in names:
        raise NotExplained(f'The model has no label "{asked.label}".{did_you_mean(asked.label, names)}')
    try:
        name, explainer = explainer_for(bundle, asked.method, served=True)
        calls = calls_of(explainer, asked.calls, remote=bool(generation.at_once))
    except MethodUnfit as error:
        raise NotExplained(sentence(str(error))) from None
    text_s = Explain().cost(asked.text, generation.facts) * generation.cost
    fits = int(deadline_s * _SHARE / text_s)
    by_word = explainer.calls <= OCCLUSION.calls
    if asked.calls is None:
        calls = max(LEAST_CALLS, min(calls, fits))
    options = ExplainOptions(asked.label, name, calls, asked.examples, by_word)
    if asked.calls is not None and options.asked(asked.text) > max(LEAST_CALLS, fits):
        raise NotExplained(f'So many calls with texts of this length take too long; "calls" may be at most {fits}.')
    return options


async def _probed(
    context: AppContext, text: str, options: ExplainOptions, generation: Generation, client: str
) -> ExplainOptions:
    """``options`` with the answers to what the method will ask.

    Each is a bulk text of ``client``: all workers can answer a part, and others are answered in between. At first
    few are asked, then four times as many each time, so that a client that leaves has cost about as long as it stayed.

    Raises:
        NotReady, Overloaded: they cannot be asked now.
    """
    context.admission.admit(client=client)  # also if nothing is to be asked before
    known: dict[str, bytes] = {}
    texts, most = _asked(text, options, generation), max(_FIRST, generation.at_once)
    while piece := list(islice(texts, most)):
        if known:
            await context.admission.room(client)
        asked: dict[str, asyncio.Future[operations.Result]] = {}
        try:
            async with context.turns.turn(client) as turn:
                context.admission.admit(1 + len(piece), client=client)
                for each in piece:
                    request = operations.Request(each, each == text)
                    asked[each] = context.dispatch.ask(PROBE, request, generation, client=client)
                    if turn.over():
                        await turn.pause()
            await asyncio.gather(*asked.values())
        finally:
            for future in asked.values():
                future.cancel()
        known |= {each: future.result().body for each, future in asked.items()}
        most *= 4
    return replace(options, known=known)


def _asked(text: str, options: ExplainOptions, generation: Generation) -> Iterator[str]:
    """What the method will ask, each once, after the whole text; nothing, if that is all."""
    _, explainer = explainer_for(generation.bundle, options.method, served=True)
    units, weighing = planned(explainer, text, options.calls)
    seen = {text}
    for row in explainer.plan(len(units), weighing):
        without = units.kept(row, remote=bool(generation.at_once))
        if without not in seen:
            if len(seen) == 1:
                yield text
            seen.add(without)
            yield without
