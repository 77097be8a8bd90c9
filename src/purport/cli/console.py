"""Where commands write: answers to standard output, everything else to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ..progress import Event, Line, Progress, Reporter
from ..wording import printable


class _Printable(Console):
    """A console on which no text, label or file name can move the cursor, set colours or reverse the reading order."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            # The library's own cursor movements are control segments; its colours are added later.
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


# Texts and labels are printed unchanged: brackets are not markup, and ":cat:" is not an emoji.
out = _Printable(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = _Printable(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=True)

if TYPE_CHECKING:
    from ..classifier import Classifier

_LINE_EVERY_S = 15.0


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Show progress on standard error: a bar on a terminal, occasional plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield PlainReporter()
        return
    reporter = TerminalReporter()
    with reporter.bar:
        yield reporter


@contextmanager
def metering(*classifiers: Classifier) -> Iterator[None]:
    """Say at the end, however the block ends, what ``classifiers`` have asked of services in it."""
    from ..model import Metered, Usage

    try:
        yield
    finally:
        used = sum((each.model.usage for each in classifiers if isinstance(each.model, Metered)), Usage())
        if used:
            err.print(used.described())


class PlainReporter:
    """Plain lines for logs: every message, and the progress of long work every 15 seconds."""

    def __init__(self) -> None:
        self._what = self._loss = ""
        self._told = time.monotonic()

    def emit(self, event: Event) -> None:
        """See :class:`~purport.progress.Reporter`."""
        if isinstance(event, Line):
            err.print(event.text)
        elif isinstance(event, Progress):
            total = f"/{event.total:,}" if event.total else ""
            amount = f"{event.done:,}{total} {event.unit}" if event.done else ""
            new = event.what != self._what
            if new and self._what:
                self._loss = ""  # it belongs to the previous step
            self._what = event.what
            self._progress(event, amount, new=new)
        elif event.name == "loss":
            self._loss = f"  loss {event.value:.4f}"

    def _progress(self, event: Progress, amount: str, *, new: bool) -> None:
        now = time.monotonic()
        if new or now - self._told >= _LINE_EVERY_S:
            self._told = now
            if not (new and event.done):  # a new step prints its name first, then its counts
                err.print(f"{event.what} {amount}".rstrip() + self._loss)


class TerminalReporter(PlainReporter):
    """A single progress bar, with messages printed above it."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        super().__init__()
        self.bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
            TextColumn("{task.fields[amount]}"), TimeElapsedColumn(), TimeRemainingColumn(),
            console=err, transient=True,
        )  # fmt: skip
        self._task = self.bar.add_task("", total=None, visible=False, amount="")

    def _progress(self, event: Progress, amount: str, *, new: bool) -> None:
        if new:  # a new task, because a reset would keep the old total
            self.bar.remove_task(self._task)
            self._task = self.bar.add_task(event.what, total=event.total, amount="")
        amount = f"{amount}{self._loss}" if amount else ""
        self.bar.update(self._task, completed=event.done, total=event.total, amount=amount, refresh=False)
