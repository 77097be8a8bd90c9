"""Progress for people and for logs: neither a silent hour nor a million lines, and never a crash for a bar's sake."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, fields
from types import SimpleNamespace

import pytest
from rich.console import Console

from purport.cli import console
from purport.cli.console import PlainReporter, TerminalReporter, reporting
from purport.progress import SILENT, Line, Metric, Progress

Lines = Callable[[], list[str]]


class Clock:
    """The time that a test says it is."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(console, "time", found)
    return found


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """What a log has got since the last look."""
    stream = io.StringIO()
    monkeypatch.setattr(
        console, "err", Console(file=stream, highlight=False, soft_wrap=True, markup=False, emoji=False)
    )

    def found() -> list[str]:
        written = stream.getvalue().splitlines()
        stream.seek(0)
        stream.truncate()
        return written

    return found


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """All that a terminal was sent."""
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, width=120, highlight=False, color_system=None,
                       markup=False, emoji=False)  # fmt: skip
    monkeypatch.setattr(console, "err", terminal)
    return stream


@contextmanager
def terminal() -> Iterator[TerminalReporter]:
    reporter = TerminalReporter()
    with reporter.bar:
        yield reporter


def seen(screen: io.StringIO) -> str:
    """What was on the screen at any time, without the orders to move the cursor."""
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", screen.getvalue())


def test_a_log_is_told_what_begins_and_how_far_it_is_every_15_seconds(clock: Clock, lines: Lines) -> None:
    reporter = PlainReporter()
    reporter.emit(Progress("measuring on valid"))
    assert lines() == ["measuring on valid"]
    for step in range(1, 1000):
        clock.now += 1.0
        reporter.emit(Progress("training", step, 12_345, "steps"))
    written = lines()
    assert written[:2] == ["training 16/12,345 steps", "training 31/12,345 steps"]
    assert len(written) == 66


def test_work_of_unknown_length_is_counted_too(clock: Clock, lines: Lines) -> None:
    reporter = PlainReporter()
    reporter.emit(Progress("answering", 1, None, "rows"))
    clock.now += 15
    reporter.emit(Progress("answering", 20_000, None, "rows"))
    assert lines() == ["answering 20,000 rows"]


def test_short_work_is_no_line_each_step(clock: Clock, lines: Lines) -> None:
    reporter = PlainReporter()
    for step in range(1, 101):
        reporter.emit(Progress("answering", step, 100, "texts"))
    assert lines() == []
    for _ in range(3):
        reporter.emit(Progress("writing the page"))
    assert lines() == ["writing the page"]


def test_a_log_shows_the_latest_loss_and_no_other_metric(clock: Clock, lines: Lines) -> None:
    reporter = PlainReporter()
    reporter.emit(Progress("training", 1, 10, "steps"))
    for value in (0.9, 0.123456):
        reporter.emit(Metric("loss", value, 1))
    reporter.emit(Metric("learning_rate", 3.0, 1))
    clock.now += 15
    reporter.emit(Progress("training", 2, 10, "steps"))
    assert lines() == ["training 2/10 steps  loss 0.1235"]


def test_what_is_said_is_said_at_once_and_as_it_is(clock: Clock, lines: Lines) -> None:
    reporter = PlainReporter()
    for _ in range(2):
        reporter.emit(Line("2 rows of [bold]a[/b].tsv are bad " + "x" * 200))
    assert lines() == ["2 rows of [bold]a[/b].tsv are bad " + "x" * 200] * 2
    reporter.emit(Progress("reading a[/b].tsv"))
    assert lines() == ["reading a[/b].tsv"]


def test_a_terminal_shows_a_bar_and_takes_it_away_again(screen: io.StringIO) -> None:
    with terminal() as reporter:
        reporter.emit(Metric("loss", 0.25, 1))
        reporter.emit(Metric("learning_rate", 0.75, 1))
        reporter.emit(Progress("training", 1, 2000, "steps"))
        reporter.emit(Progress("training", 1000, 2000, "steps"))
        reporter.emit(Line("half of it is done"))
    assert re.search(r"training ━+.* 1,000/2,000 steps  loss 0\.2500", seen(screen))
    assert "0.75" not in seen(screen)
    assert screen.getvalue().rstrip("\r\n").endswith("\x1b[2K"), "the last thing is that the line of the bar is wiped"


def test_lines_stay_above_the_bar_as_they_are(screen: io.StringIO) -> None:
    with terminal() as reporter:
        reporter.emit(Progress("training", 1, 10, "steps"))
        reporter.emit(Line("2 rows of [bold]a[/b].tsv are bad"))
    assert re.search(r"2 rows of \[bold\]a\[/b\]\.tsv are bad\s*\n", seen(screen))


def test_before_there_is_work_there_is_no_bar(screen: io.StringIO) -> None:
    with terminal() as reporter:
        reporter.emit(Line("nothing to do"))
    assert "━" not in seen(screen) and "nothing to do" in seen(screen)


def test_new_work_starts_a_bar_of_its_own(screen: io.StringIO) -> None:
    with terminal() as reporter:
        reporter.emit(Progress("training", 10, 10, "steps"))
        screen.seek(0)
        screen.truncate()
        reporter.emit(Progress("measuring on valid"))
        reporter.emit(Line("checked"))
    last = [line for line in re.split(r"[\r\n]", seen(screen)) if "measuring on valid" in line][-1]
    assert "steps" not in last and "training" not in last
    assert " 0 " not in last, "what is not counted has no number"


def test_a_bar_costs_work_of_many_steps_next_to_nothing(screen: io.StringIO) -> None:
    with terminal() as reporter:
        for step in range(2000):
            reporter.emit(Progress("training", step, 2000, "steps"))
    assert seen(screen).count("training") < 200, "it is drawn for who watches, not for each step"


def test_the_bar_ends_with_the_work_also_when_that_fails(screen: io.StringIO) -> None:
    with pytest.raises(KeyboardInterrupt), terminal() as reporter:
        reporter.emit(Progress("training", 1, 10, "steps"))
        raise KeyboardInterrupt
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 1, "the cursor is back"


@pytest.mark.parametrize(("watched", "kind"), [(True, TerminalReporter), (False, PlainReporter)])
def test_bars_are_drawn_only_where_somebody_watches(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, watched: bool, kind: type[object]
) -> None:
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: watched))
    with reporting() as reporter:
        assert type(reporter) is kind


def test_an_event_cannot_change_after_it_was_told() -> None:
    for event in (Line("a"), Progress("a", 1, 2, "steps"), Metric("loss", 0.1, 1)):
        with pytest.raises(FrozenInstanceError):
            setattr(event, fields(event)[0].name, "b")


def test_who_is_silent_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for event in (Line("a"), Progress("a", 1, 2, "steps"), Metric("loss", 0.1, 1)):
        SILENT.emit(event)
    assert capfd.readouterr() == ("", "")


def test_new_work_has_neither_the_total_nor_the_loss_of_the_work_before(screen: io.StringIO, clock: Clock) -> None:
    with terminal() as reporter:
        reporter.emit(Progress("training", 50, 100, "steps"))
        reporter.emit(Metric("loss", 0.5, 50))
        reporter.emit(Progress("answering [x[/b]", 90, None, "rows"))
        (task,) = reporter.bar.tasks
        assert task.total is None and task.fields["amount"] == "90 rows" and task.description == "answering [x[/b]"
