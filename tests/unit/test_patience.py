"""When a worker counts as stuck: never by the clock, and in time for its clients."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from purport import serving
from purport.serving.patience import Patience, Pulse


def found_after(patience: Patience, *, busy: bool, beats: bool, heard: bool = True) -> float:
    """Seconds until a worker is found that has stopped to beat, or hangs in a text."""
    pulse, ticks = Pulse(heard=heard), 0
    while not patience.complaint(pulse):
        pulse.tick(busy=busy)
        if beats:
            pulse.silent = 0
        ticks += 1
    return (ticks + 1) * patience.tick_s  # it may have happened just after a tick


@pytest.mark.parametrize("deadline_s", [1.0, 5.0, 30.0])
def test_a_stuck_worker_is_found_within_twice_the_deadline(deadline_s: float) -> None:
    patience = Patience.of(deadline_s)
    for busy in (False, True):
        assert found_after(patience, busy=busy, beats=False) < min(2 * deadline_s, 8)
    hanging = found_after(patience, busy=True, beats=True)
    assert 1.5 * deadline_s < hanging < 2 * deadline_s, "who is slower than the deadline is not stuck yet"


def test_a_stopped_worker_is_found_while_another_one_can_still_answer() -> None:
    assert found_after(Patience.of(5.0), busy=True, beats=False) < 4


def test_no_deadline_is_so_short_that_a_busy_machine_kills_its_workers() -> None:
    patience = Patience.of(0.01)
    assert patience.tick_s >= 0.1
    assert found_after(patience, busy=True, beats=False) > 1 and found_after(patience, busy=True, beats=True) > 1


def test_a_worker_that_imports_is_given_a_minute() -> None:
    assert found_after(Patience.of(1.0), busy=False, beats=False, heard=False) > 60


def test_a_load_is_counted_until_it_is_over() -> None:
    patience, pulse = Patience.of(5.0), Pulse(loading={7: 0, 8: 0})
    pulse.tick(busy=False)  # it still imports
    pulse.heard = True
    for _ in range(patience.loading):
        pulse.tick(busy=False)
    assert not patience.lingers(pulse)
    pulse.tick(busy=False)
    assert patience.lingers(pulse)
    pulse.loading.clear()
    assert not patience.lingers(pulse)


def test_nothing_that_serves_measures_with_a_clock_that_can_be_set() -> None:
    assert serving.__file__
    for path in Path(serving.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert ast.unparse(node) not in {"time.time", "time.time_ns"} if isinstance(node, ast.Attribute) else True
