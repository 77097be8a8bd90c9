"""One bundle as a server loaded it once, and what it costs to ask it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Self

from cachetools import LRUCache

from ..bundle import Bundle

_NUMBERS = itertools.count(1)
_FIRST_COST_S = 2e-4
SMOOTHING = 0.1
"""How much of what is known gives way to what was just measured."""


class Generation:
    """A swap makes a new generation; a request keeps the one it came in with, by ``with generation:``.

    Attributes:
        cost: measured seconds of a worker for each unit of work (see ``Operation.cost``).
        cache: answers that are kept; ``None`` where none are.
    """

    def __init__(self, bundle: Bundle, cache: int = 0) -> None:
        self.bundle = bundle
        self.number = next(_NUMBERS)
        self.facts = bundle.manifest.model
        self.cost = _FIRST_COST_S
        self._users = 0
        self.cache: LRUCache[Any, Any] | None = LRUCache(cache) if cache else None
        self._when_unused: Callable[[], None] | None = None

    def observe(self, units: int, seconds: float) -> None:
        """Learn from a batch; moves slowly, and never far at once: one stall is not a slower model."""
        self.cost += SMOOTHING * (min(seconds / units, 4 * self.cost) - self.cost)

    def __enter__(self) -> Self:
        self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users and self._when_unused:
            self._when_unused()

    def when_unused(self, call: Callable[[], None]) -> None:
        """Call once no request uses it any more."""
        if self._users:
            self._when_unused = call
        else:
            call()
