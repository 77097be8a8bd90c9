"""HTTP as uvicorn speaks it, with two answers of our own that come before the application."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from functools import lru_cache

import structlog
from starlette.responses import Response
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ..errors import BodyInvalid, Overloaded
from . import metrics
from .engine import Engine
from .errors import answer
from .intent import PATH, WAITING

_LOG_EVERY_S = 1.0


def protocol(engine: Engine) -> Callable[..., HttpToolsProtocol]:
    """What makes the protocol of each connection of a server around ``engine``."""
    shed = _Shed(engine)
    return lambda **arguments: _Protocol(shed, **arguments)


class _Shed:
    """Refuses single texts for lack of room. It must cost next to nothing, or refusing takes all there is.

    What it refuses is counted in the metrics, and the log says once a second how many there were.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._log = structlog.get_logger("purport.overload")
        self._refused = 0
        self._logged = 0.0

    def refusal(self, inside: int) -> bytes | None:
        """The answer to a text that came when ``inside`` requests were under way, if it is refused."""
        try:
            self._engine.admit_behind(inside)
        except Overloaded as error:
            metrics.counted(PATH, 503).inc()
            self._refused += 1
            if time.monotonic() - self._logged > _LOG_EVERY_S:
                self._log.warning("overloaded", refused=self._refused)
                self._refused, self._logged = 0, time.monotonic()
            return _refusal(math.ceil(error.retry_after or 1))
        return None


@lru_cache
def _refusal(retry_after: int) -> bytes:
    return _bytes(answer(Overloaded("Too many texts are waiting already; try again later.", retry_after)))


def _bytes(response: Response) -> bytes:
    head = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
    return STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)


class _Protocol(HttpToolsProtocol):
    def __init__(self, shed: _Shed, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self._shed = shed

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left: nobody needs the answer that it waits for."""
        waiting = self.cycle and self.cycle.scope.get(WAITING)
        if isinstance(waiting, asyncio.Future):
            waiting.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is not even HTTP is answered in the form of every other error."""
        response = answer(BodyInvalid(msg))
        response.headers["Connection"] = "close"
        self.transport.write(_bytes(response))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """A refusal needs neither body nor task; where the connection ends with the answer, the application refuses."""
        scope = cycle.scope
        if scope["path"] == PATH and scope["method"] == "POST" and cycle.keep_alive:
            refusal = self._shed.refusal(len(self.tasks))
            if refusal is not None:
                cycle.response_started = cycle.response_complete = True
                self.transport.write(refusal)
                self.on_response_complete()
                return
        super()._start_asgi_task(cycle, app)
