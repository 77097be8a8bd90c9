"""What is refused for lack of room must cost next to nothing, or refusing takes all there is."""

from __future__ import annotations

import time

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import Overloaded
from . import metrics
from .engine import Engine
from .errors import answer
from .intent import PATH

_LOG_EVERY_S = 1.0


class Shed:
    """Refuses single texts before anything is done for them, even reading the body or a line in the log.

    They are counted in the metrics, and the log says once a second how many there were.
    """

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self._app = app
        self._engine = engine
        self._log = structlog.get_logger("purport.overload")
        self._refused = 0
        self._logged = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            try:
                self._engine.admit(1)
            except Overloaded as error:
                await self._refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refuse(self, error: Overloaded, scope: Scope, receive: Receive, send: Send) -> None:
        response = answer(error)
        await response(scope, receive, send)
        metrics.counted(PATH, response.status_code).inc()
        self._refused += 1
        if time.monotonic() - self._logged > _LOG_EVERY_S:
            self._log.warning("overloaded", refused=self._refused)
            self._refused, self._logged = 0, time.monotonic()
