"""``/ready``, ``/healthz`` and ``/metrics``, for orchestrators and monitoring."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from .. import counters
from ..context import AppContext

_TEXT: dict[str, Any] = {"schema": {"type": "string"}}


def router(context: AppContext) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["health"])

    @routes.get("/ready", response_class=PlainTextResponse, responses=_ready_responses())
    async def ready(request: Request) -> Response:
        """200 ``OK`` if a worker has loaded the model; 423 ``Not ready`` if none has, or while the server drains."""
        status, content = (200, "OK") if context.store.ready else (423, "Not ready")
        kind = JSONResponse if prefers_json(request.headers.get("accept", "")) else PlainTextResponse
        return kind(content, status)

    @routes.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """200 ``OK`` as long as the server process responds."""
        return "OK"

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": _TEXT}}})
    async def read_metrics() -> Response:
        """Metrics in Prometheus text format."""
        return Response(counters.exposition(), media_type=counters.CONTENT_TYPE)

    return routes


def _ready_responses() -> dict[int | str, dict[str, Any]]:
    either = {"text/plain": _TEXT, "application/json": _TEXT}
    return {
        200: {"description": "The model is loaded.", "content": either},
        423: {"description": "The model is not loaded, or the server is about to stop.", "content": either},
    }


def prefers_json(accept: str, other: str = "text/plain") -> bool:
    """Whether ``application/json`` has a higher quality than ``other`` (RFC 9110 §12.5.1)."""
    quality = {"application/json": 0.0, other: 0.0}
    rank = dict.fromkeys(quality, -1)
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_quality(value) for value in parameters if value.startswith("q=")), 1.0)
        for offered in quality:
            kind = offered.partition("/")[0]
            specific = {offered: 2, f"{kind}/*": 1, "*/*": 0}.get(media, -1)
            if specific > rank[offered]:
                rank[offered], quality[offered] = specific, weight
    return quality["application/json"] > quality[other]


def _quality(parameter: str) -> float:
    try:
        return float(parameter[2:])
    except ValueError:
        return 1.0
