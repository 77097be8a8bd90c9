"""Where commands write: answers to standard output, everything else to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from ..progress import Event, Reporter

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_LINE_EVERY_S = 15.0


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Shows progress on standard error: bars where somebody watches, plain lines now and then elsewhere."""
    if not sys.stderr.isatty():
        yield PlainReporter()
        return
    with TerminalReporter() as reporter:
        yield reporter


class PlainReporter:
    """Lines for logs: what is said, and how far long work is, every 15 seconds."""

    def __init__(self) -> None:
        self._what = ""
        self._told = time.monotonic()
        self._loss = ""

    def emit(self, event: Event) -> None:
        """See :class:`~purport.progress.Reporter`."""
        from ..progress import Line, Metric

        if isinstance(event, Line):
            err.print(event.text, markup=False)
        elif isinstance(event, Metric):
            self._loss = f"  loss {event.value:.4f}" if event.name == "loss" else self._loss
        else:
            self._progress(event.what, event.done, event.total, event.unit)

    def _progress(self, what: str, done: int, total: int | None, unit: str) -> None:
        now = time.monotonic()
        if what == self._what and now - self._told < _LINE_EVERY_S:
            return
        if what != self._what and done:  # just begun
            self._what, self._told = what, now
            return
        self._what, self._told = what, now
        amount = f" {done:,}" + (f"/{total:,}" if total else "") + f" {unit}" if done else ""
        err.print(f"{what}{amount}{self._loss}", markup=False)


class TerminalReporter:
    """One bar that is drawn over and over, and lines above it."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(),
            TextColumn("{task.fields[amount]}"), TimeElapsedColumn(), TimeRemainingColumn(),
            console=err, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, visible=False, amount="")
        self._what = ""
        self._loss = ""

    def __enter__(self) -> TerminalReporter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def emit(self, event: Event) -> None:
        """See :class:`~purport.progress.Reporter`."""
        from ..progress import Line, Metric

        if isinstance(event, Line):
            self._bar.console.print(event.text, markup=False, highlight=False)
            return
        if isinstance(event, Metric):
            self._loss = f"  loss {event.value:.4f}" if event.name == "loss" else self._loss
            return
        if event.what != self._what:
            self._what = event.what
            self._bar.reset(self._task, total=event.total, visible=True, description=event.what)
        amount = f"{event.done:,}" + (f"/{event.total:,}" if event.total else "") + f" {event.unit}{self._loss}"
        self._bar.update(
            self._task, completed=event.done, total=event.total, amount=amount if event.done else "", refresh=False
        )
