"""The queue of texts that wait for a worker."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Container
from dataclasses import dataclass, field

from .generation import Generation
from .operations import Request, Result

# Every fourth batch goes to bulk requests, if any wait.
_BULK_EVERY = 4
_ORDER = itertools.count()

Line = tuple[Generation, str, bool]
"""A generation, an operation, and whether the texts are of bulk requests."""


@dataclass(slots=True, eq=False)
class Item:
    """One text for an operation, and the future that its client waits for.

    ``units`` is the estimated work in tokens; ``asked`` is the time of arrival (``time.monotonic()``).
    """

    operation: str
    request: Request
    generation: Generation
    future: asyncio.Future[Result]
    units: int
    bulk: bool = False
    attempts: int = 0
    asked: float = field(default_factory=time.monotonic)
    order: int = field(default_factory=_ORDER.__next__)

    @property
    def line(self) -> Line:
        """The line it waits in; items of one line can share a batch."""
        return self.generation, self.operation, self.bulk


class Queue:
    """First come, first served, per model and operation. Single texts go before bulk texts, which never starve.

    Items whose future is done (answered, cancelled or expired) are dropped when they reach the front.
    """

    def __init__(self) -> None:
        self._waiting: dict[Line, deque[Item]] = {}
        self._units: Counter[Line] = Counter()
        self._since_bulk = 0
        self._lengths = {False: 0, True: 0}

    def __len__(self) -> int:
        return self._lengths[False] + self._lengths[True]

    def length(self, *, bulk: bool) -> int:
        """The number of items of single requests, or of bulk requests."""
        return self._lengths[bulk]

    def seconds(self, *, bulk: bool = True) -> float:
        """Estimated seconds that one worker needs for all waiting items; ``bulk=False``: for single texts only."""
        waiting = self._units.items()
        return sum(units * generation.cost for (generation, _, of_bulk), units in waiting if bulk or not of_bulk)

    def drop_gone(self) -> None:
        """Remove items at the front of every line that nobody waits for any more."""
        for key in list(self._waiting):
            self._pop(key, 0, 0.0, only_gone=True)

    def add(self, item: Item, *, first: bool = False) -> None:
        """Add ``item`` at the end; ``first`` puts an item that was already taken back at the front."""
        line = item.line
        items = self._waiting.setdefault(line, deque())
        (items.appendleft if first else items.append)(item)
        self._lengths[item.bulk] += 1
        self._units[line] += item.units

    def take(self, units: int, seconds: float, generations: Container[int]) -> list[Item]:
        """The next batch: items of one of ``generations``, as many as fit into ``units`` and ``seconds``.

        It has at least one item if any item waits for one of the generations.
        """
        while key := self._next(generations):
            batch = self._pop(key, units, seconds)
            if batch:
                self._since_bulk = 0 if key[2] else self._since_bulk + 1
                return batch
        return []

    def _next(self, generations: Container[int]) -> Line | None:
        bulk_turn = self._since_bulk >= _BULK_EVERY - 1
        waiting = self._waiting.items()
        heads = [(key[2] != bulk_turn, items[0].order, key) for key, items in waiting if key[0].number in generations]
        return min(heads, key=lambda head: head[:2])[2] if heads else None

    def _pop(self, key: Line, units: int, seconds: float, *, only_gone: bool = False) -> list[Item]:
        generation, _, bulk = key
        items, taken = self._waiting[key], 0
        batch: list[Item] = []
        while items:
            item = items[0]
            alive = not item.future.done()
            room = taken + item.units <= units and (taken + item.units) * generation.cost <= seconds
            # An item that was in a batch when a worker died is sent alone, as it may have been the cause.
            suspect = item.attempts > 0 or (batch and batch[0].attempts > 0)
            if alive and (only_gone or (batch and (suspect or not room))):
                break
            items.popleft()
            self._lengths[bulk] -= 1
            self._units[key] -= item.units
            if alive:
                batch.append(item)
                taken += item.units
        if not items:
            del self._waiting[key]
        if not self._units[key]:
            del self._units[key]
        return batch
