"""What processes spend together stays within the limit, whatever happens to them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from purport.spending import Amount, SharedSpending, Spending

MOST = Amount(1000, 10**30)
GREEDY = """
import sys
from purport.spending import Amount, SharedSpending
spending, held = SharedSpending(int(sys.argv[1])), 0
while spending.hold("a", Amount(3, 5), Amount(1000, 10**30)) is None:
    held += 1
    if sys.argv[2] == "settles":
        spending.settle("a", Amount(3, 5), Amount(1, 5))
print(held)
"""


@pytest.fixture
def shared() -> Iterator[SharedSpending]:
    spending = SharedSpending.new()
    yield spending
    spending.close()


def greedy(shared: SharedSpending, how: str, processes: int) -> tuple[list[int], list[int]]:
    """How often each of so many processes was allowed to spend, and their ids."""
    command = [sys.executable, "-c", GREEDY, str(shared.descriptor), how]
    running = [
        subprocess.Popen(command, pass_fds=[shared.descriptor], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return [int(each.communicate(timeout=60)[0]) for each in running], [each.pid for each in running]


def test_processes_never_spend_more_than_the_limit_together(shared: SharedSpending) -> None:
    allowed, _ = greedy(shared, "settles", 3)
    left = shared.hold("a", MOST, MOST)
    assert left is not None
    assert left.tokens == 1000 - sum(allowed) and left.tokens in (0, 1, 2, 3, 4, 5, 6, 7, 8)
    assert 10**30 - left.money == 5 * sum(allowed)
    assert shared.hold("another", MOST, MOST) is None, "accounts are apart"


def test_what_a_dead_process_held_is_spent(shared: SharedSpending) -> None:
    allowed, dead = greedy(shared, "holds", 2)
    assert sum(allowed) == 333
    # They hold it until somebody says that they have died: only then it is known not to be released.
    assert shared.hold("a", MOST, MOST) == MOST
    for pid in dead:
        shared.lost(pid)
    assert shared.hold("a", Amount(2, 0), MOST) == Amount(1, 10**30 - 5 * 333)
    assert shared.hold("a", Amount(1, 0), MOST) is None
    shared.lost(os.getpid())
    assert shared.hold("a", Amount(1, 0), MOST) == Amount(0, 10**30 - 5 * 333)


def test_a_process_alone_needs_no_file() -> None:
    spending = Spending()
    assert spending.hold("a", Amount(600), MOST) is None
    assert spending.hold("a", Amount(600), MOST) == MOST
    spending.settle("a", Amount(600), Amount(400))
    assert spending.hold("a", Amount(600), MOST) is None
