"""An operation, a route that asks for it, and an authenticator, each as a third party adds it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from purport import Classifier
from purport.errors import Unauthenticated
from purport.manifest import ModelFacts
from purport.serving import operations
from purport.serving.access import Principal
from purport.serving.context import AppContext
from purport.serving.schema import error_responses
from purport.settings import ServerSettings

PERMISSION = "spell"


class Spell:
    """The letters of a text, with its likeliest label."""

    def cost(self, text: str, facts: ModelFacts) -> int:
        return 1 + len(text)

    def __call__(
        self, classifier: Classifier, requests: Sequence[operations.Request]
    ) -> list[operations.Result]:  # fmt: skip
        predictions = classifier.predict([request.text for request in requests], top_k=1)
        answers = [
            {"letters": list(request.text), "label": prediction.ranked[0].label}
            for request, prediction in zip(requests, predictions, strict=True)
            if request.text != "lose"
        ]
        return [operations.Result(json.dumps(answer).encode()) for answer in answers]


def router(context: AppContext) -> APIRouter:
    """``GET /v1/spell?text=…``."""
    routes = APIRouter(tags=["spell"])

    @routes.get("/v1/spell", responses=error_responses(400, 401, 403, 423, 429, 503, 504))
    async def spell(request: Request, text: str) -> Response:
        """Spell a text."""
        await context.access.permit(request.scope, PERMISSION)
        result = await context.answer("spell", text)
        return Response(result.body, media_type="application/json")

    return routes


class Names:
    """Everybody who says a name may ask; who is called ``clerk`` may spell, three times a minute."""

    def __init__(self, settings: ServerSettings) -> None:
        pass

    async def authenticate(self, credential: str | None, client: str) -> Principal:
        if credential is None:
            raise Unauthenticated("Say your name.")
        if credential == "clerk":
            return Principal(credential, frozenset({"intent", PERMISSION}), rate="3/minute")
        return Principal(credential, frozenset({"intent"}))
