"""What is refused for lack of room must cost next to nothing, or refusing takes all there is."""

from __future__ import annotations

import json
import math
import time

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import Overloaded
from . import metrics
from .engine import Engine
from .errors import status_and_label
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
                await self._refuse(error, send)
                return
        await self._app(scope, receive, send)

    async def _refuse(self, error: Overloaded, send: Send) -> None:
        status, label = status_and_label(error)
        body = json.dumps({"label": label, "message": str(error)}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", b"%d" % max(1, math.ceil(error.retry_after or 0))),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        metrics.REQUESTS.labels(PATH, str(status)).inc()
        self._refused += 1
        if time.monotonic() - self._logged > _LOG_EVERY_S:
            self._log.warning("overloaded", refused=self._refused)
            self._refused, self._logged = 0, time.monotonic()
