"""Cheap rejections for times of heavy overload: sheds load (503) before uvicorn creates a task.

At several times the possible load, normal rejections (a task, a log line, a response in parts) would use up all of the
event loop's time, and the workers would run out of texts (docs/decisions/0009).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import lru_cache

import structlog

from ..errors import Overloaded
from . import counters
from .admission import Admission
from .http_errors import answer, raw

_LOG_EVERY_S = 1.0


class Shedding:
    """Rejects requests for ``method path``, a route for one text, as soon as their headers have arrived.

    Rejections are counted in the metrics; the log has their number at most once per second.
    """

    def __init__(self, admission: Admission, method: str, path: str) -> None:
        self._admission = admission
        self._request = method.encode(), path.encode()
        self._path = path
        self._method = method
        self.under_way = 0
        self._refused = 0
        self._logged = 0.0

    def concerns(self, scope: Mapping[str, object]) -> bool:
        """Whether a request is for this route; :attr:`under_way` counts those that wait for a worker."""
        return bool(scope["path"] == self._path and scope["method"] == self._method)

    def __call__(self, method: bytes, target: bytes) -> bytes | None:
        """The response if a request is rejected, as those :attr:`under_way` take too long, otherwise ``None``."""
        if (method, target) != self._request:
            return None
        try:
            self._admission.admit_behind(self.under_way)
        except Overloaded as error:
            self._count()
            return _answer(math.ceil(error.retry_after or 1))
        return None

    def _count(self) -> None:
        counters.counted(self._path, 503).inc()
        self._refused += 1
        if time.monotonic() - self._logged > _LOG_EVERY_S:
            structlog.get_logger("purport.overload").warning("overloaded", refused=self._refused)
            self._refused, self._logged = 0, time.monotonic()


@lru_cache
def _answer(retry_after: int) -> bytes:
    return raw(answer(Overloaded("Too many texts are already waiting; try again later.", retry_after)))
