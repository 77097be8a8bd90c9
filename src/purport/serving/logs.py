"""Structured logs: one JSON object per line, never with the text of a request."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from random import getrandbits

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import NotReady
from ..settings import ServerSettings
from . import counters
from .body import HELD
from .dispatch import PENDING
from .http_errors import answer, internal_error
from .stderr import PatientStream

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
_HEADER = b"x-request-id"
PENDING_KEY = "purport.pending"
"""The key in a request's scope for the set of futures that it waits for."""
_STOPPING = "The server is stopping, and this took longer than it could wait; try again once it is back."
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def configure(level: str) -> None:
    """Set up logging for a serving process: all records, including those of libraries, as JSON on stderr."""
    if isinstance(sys.stderr, PatientStream):
        stream = sys.stderr
        counters.DROPPED.set_function(lambda: stream.dropped)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_severity(level)),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _severity(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


class RequestLog:
    """Gives each request an id (or uses the client's), returns it as ``X-Request-Id``, counts and logs the outcome.

    Its log lines bypass the logging library, which at thousands of lines per second would cost more than the rest of
    the request.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._debug = settings.debug
        self._stream = sys.stderr
        self._logged = settings.access_log and _severity(settings.log_level) <= logging.INFO
        self._log = structlog.get_logger("purport.requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        request_id = sent.decode() if _SAFE_ID.fullmatch(sent) else f"{getrandbits(128):032x}"
        REQUEST_ID.set(request_id)
        PENDING.set(scope.setdefault(PENDING_KEY, set()))
        started, status, begun = time.perf_counter(), 500, False
        header = (_HEADER, request_id.encode("latin-1"))

        async def send_with_id(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = 499  # the client has disconnected
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                status = 499  # the client disconnected, so its futures were cancelled
            elif begun:
                raise
            else:
                await answer(NotReady(_STOPPING))(scope, receive, send_with_id)
        except Exception as error:
            self._log.error("failed", request_id=request_id, exception=traceback.format_exc())
            if not begun:
                shown = repr(error) if self._debug else None
                await internal_error(request_id, shown)(scope, receive, send_with_id)
        finally:
            HELD.give(scope)
            self._observe(scope, status, time.perf_counter() - started, request_id)

    def _observe(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        # Unknown paths share one label, because every label value makes a new time series.
        route = getattr(scope.get("route"), "path", "other")
        counters.counted(route, status).inc()
        counters.timed(route).observe(seconds)
        if self._logged:
            # Written out, which takes half as long as to encode a dictionary.
            now = datetime.now(UTC)
            moment = f"{_second(int(now.timestamp()))}.{now.microsecond:06d}Z"
            self._stream.write(
                f'{{"event": "request", "level": "info", "method": {_quoted(scope["method"])}, '
                f'"path": {_quoted(scope["path"])}, "status": {status}, "ms": {round(1000 * seconds, 2)}, '
                f'"request_id": "{request_id}", "timestamp": "{moment}"}}\n'
            )


@lru_cache(maxsize=1)
def _second(since_1970: int) -> str:
    return datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%dT%H:%M:%S")
