"""What long work tells whoever watches it: one protocol for terminals, logs, job records and pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence worth keeping."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` ``unit`` of ``what``; ``total`` is ``None`` where nobody knows it."""

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
    """One dialect of progress. ``emit`` must be cheap: it is called for every step."""

    def emit(self, event: Event) -> None:
        """Show, store or ignore ``event``."""
        ...


class _Silent:
    def emit(self, event: Event) -> None:
        """Ignore ``event``."""


SILENT: Reporter = _Silent()
