"""Requests that are answered before the application sees them, because too many of their kind wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Early(Protocol):
    """Answers requests without the application, by the number of those of the same kind that wait for a worker."""

    under_way: int
    """Requests that have arrived in whole, are not answered yet, and have no other request of their connection before.

    A client that only begins requests, or reads no answers, adds none.
    """

    def concerns(self, scope: Mapping[str, object]) -> bool:
        """Whether a request is of this kind."""
        ...

    def __call__(self, method: bytes, target: bytes) -> bytes | None:
        """The response to a request that bypasses the application, or ``None``."""
        ...


class Answered:
    """Placeholder for a request that was already answered: the rest of its data is ignored."""

    response_complete = response_started = True
    disconnected = False
    message_event = asyncio.Event()

    def __init__(self) -> None:
        self.scope: dict[str, object] = {}


def end(cycle: RequestResponseCycle | Answered) -> None:
    """The request of ``cycle`` gets no answer, or no more of it."""
    cycle.disconnected = True
    cycle.message_event.set()


class Place:
    """The place of a connection among those whose request is under way: one at most."""

    def __init__(self, early: Early) -> None:
        self._early = early
        self._taken = False

    def take(self, cycle: RequestResponseCycle) -> None:
        """The request of ``cycle`` has arrived, and no other one of its connection is before it."""
        if not (self._taken or cycle.response_complete) and self._early.concerns(cycle.scope):
            self._taken = True
            self._early.under_way += 1

    def give(self) -> None:
        """It is answered, or its client has gone."""
        if self._taken:
            self._taken = False
            self._early.under_way -= 1
