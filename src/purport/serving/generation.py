"""A generation: one bundle as loaded at one time, with its measured cost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Self

from ..bundle import Bundle

MOST_AWAY = 128
"""Most texts of a worker that wait for a service; each has a thread."""
_NUMBERS = itertools.count(1)
_FIRST_COST_S = 2e-4
SMOOTHING = 0.1
"""Weight of a new measurement in an exponential moving average."""


class Generation:
    """A bundle that was loaded once. Swapping bundles makes a new generation.

    A request uses the generation that was current when it arrived, inside ``with generation:``.

    Attributes:
        source: how the bundle was named when it was asked for; a reload follows its links again.
        labels: the number of labels of its model.
        cost: measured seconds of worker time per unit of work (see ``Operation.cost``).
        at_once: texts that a worker asks at a time if the model waits for a service instead of computing; otherwise 0.
    """

    def __init__(self, bundle: Bundle, source: str | os.PathLike[str] = "") -> None:
        self.bundle = bundle
        self.source = source or bundle.path
        self.number = next(_NUMBERS)
        self.facts = bundle.manifest.model
        self.labels = len(bundle.manifest.labels)
        self.cost = _FIRST_COST_S
        at_once = getattr(self.facts, "at_once", 0)
        self.at_once = min(at_once, MOST_AWAY) if isinstance(at_once, int) else 0
        self._users = 0
        self._when_unused: Callable[[], None] | None = None

    def observe(self, units: int, seconds: float) -> None:
        """Update the cost from a batch, with a limit on each step, so that one stall has little effect."""
        found = seconds / units / max(1, self.at_once)  # those that wait together share the time
        self.cost += SMOOTHING * (min(found, 4 * self.cost) - self.cost)

    def __enter__(self) -> Self:
        self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users and self._when_unused:
            self._when_unused()

    def when_unused(self, call: Callable[[], None]) -> None:
        """Run ``call`` as soon as no request uses this generation."""
        if self._users:
            self._when_unused = call
        else:
            call()
