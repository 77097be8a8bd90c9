"""How long-running work reports progress: one protocol for terminals, logs, job records and pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Line:
    """A message to keep, for example in a log."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """``what`` is being done, with ``done`` of ``total`` in ``unit``; ``total`` is ``None`` if it is unknown."""

    what: str
    done: int = 0
    total: int | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number measured at a step of training."""

    name: str
    value: float
    step: int


Event = Line | Progress | Metric


class Reporter(Protocol):
    """Receives progress. ``emit`` must be cheap: it is called for every step."""

    def emit(self, event: Event) -> None:
        """Show, store or ignore ``event``."""
        ...


class _Silent:
    def emit(self, event: Event) -> None:
        """Ignore ``event``."""


SILENT: Reporter = _Silent()
