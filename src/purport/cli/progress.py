"""A count of what is done, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def counter(what: str, interactive: bool) -> Iterator[Callable[[int], None]]:
    """A function that shows how many are done; shows nothing where nobody watches."""
    if not interactive:
        yield lambda done: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from .console import err

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def steps(interactive: bool) -> Iterator[Callable[[str], None]]:
    """A function that says what is being done: one line that changes on a terminal, a line each elsewhere."""
    from .console import err, report

    if not interactive:
        yield report
        return
    with err.status("starting") as status:
        yield status.update
