"""Runs what waits for the disk or computes for long in a few threads, so that the server goes on answering."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

_AT_ONCE = 4
_LIMITER: RunVar[CapacityLimiter] = RunVar("purport.ui.blocking")

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def blocking(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What ``call`` returns; at most four calls of the pages run at the same time, and others wait."""
    limiter = _LIMITER.get(None)
    if limiter is None:
        limiter = CapacityLimiter(_AT_ONCE)
        _LIMITER.set(limiter)
    return await run_sync(lambda: call(*args, **kwargs), limiter=limiter)
