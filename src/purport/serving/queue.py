"""The queue of texts that wait for a worker."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, defaultdict, deque
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from .generation import Generation
from .operations import Request, Result

# Every fourth batch goes to bulk requests, if any wait.
_BULK_EVERY = 4
_ORDER = itertools.count()

Line = tuple[Generation, str, str | None]
"""A generation, an operation, and the client whose bulk texts wait there; ``None``: the single texts of all clients."""


@dataclass(slots=True, eq=False)
class Item:
    """One text for an operation, and the future that its client waits for.

    ``units`` is the estimated work in tokens; ``client`` is who sent the bulk request that the text belongs to, and
    ``None`` for a single text; ``asked`` is the time of arrival (``time.monotonic()``).
    """

    operation: str
    request: Request
    generation: Generation
    future: asyncio.Future[Result]
    units: int
    client: str | None = None
    attempts: int = 0
    asked: float = field(default_factory=time.monotonic)
    order: int = field(default_factory=_ORDER.__next__)

    @property
    def line(self) -> Line:
        """The line it waits in; items of one generation and operation can share a batch."""
        return self.generation, self.operation, self.client


class Queue:
    """Single texts are taken first come, first served, per model and operation, before bulk texts, which never starve.

    Bulk texts wait in a line for each client, and clients share a batch evenly, by units of work. Who has few texts
    waits for a batch or two, however many texts another client has (docs/decisions/0035).

    Items whose future is done (answered, cancelled or expired) are dropped when they reach the front.
    """

    def __init__(self) -> None:
        # Of single texts and of bulk texts. The first lines of bulk texts have waited longest for their turn.
        self._lines: dict[bool, dict[Line, deque[Item]]] = {False: {}, True: {}}
        self._units: dict[bool, Counter[Line]] = {False: Counter(), True: Counter()}
        self._lengths = {False: 0, True: 0}
        self._since_bulk = 0

    def __len__(self) -> int:
        return self._lengths[False] + self._lengths[True]

    def length(self, *, bulk: bool) -> int:
        """The number of items of single requests, or of bulk requests."""
        return self._lengths[bulk]

    def length_of(self, client: str) -> int:
        """The number of items of the bulk requests of ``client``."""
        return sum(len(items) for line, items in self._lines[True].items() if line[2] == client)

    def seconds(self) -> float:
        """Estimated seconds that one worker needs for all waiting items."""
        return _seconds(self._units[False].items()) + _seconds(self._units[True].items())

    def seconds_before(self, client: str | None) -> float:
        """Estimated seconds that one worker needs before an item that ``client`` adds now; ``None``: a single text.

        Clients share evenly: of each other one, at most as much work goes before as ``client`` itself has waiting.
        """
        singles = _seconds(self._units[False].items())
        if client is None:
            return singles
        each: defaultdict[str | None, float] = defaultdict(float)
        for (generation, _, whose), units in self._units[True].items():
            each[whose] += units * generation.cost
        own = each.get(client, 0.0)
        return singles + sum(min(seconds, own) for seconds in each.values())

    def drop_gone(self) -> None:
        """Remove items at the front of every line that nobody waits for any more."""
        for lines in self._lines.values():
            for line in list(lines):
                self._front(line)

    def add(self, item: Item, *, first: bool = False) -> None:
        """Add ``item`` at the end; ``first`` puts an item that was already taken back at the front."""
        line, bulk = item.line, item.client is not None
        items = self._lines[bulk].setdefault(line, deque())
        (items.appendleft if first else items.append)(item)
        self._lengths[bulk] += 1
        self._units[bulk][line] += item.units

    def take(self, units: int, seconds: float, generations: Container[int]) -> list[Item]:
        """The next batch: items of one of ``generations``, as many as fit into ``units`` and ``seconds``.

        It has at least one item if any item waits for one of the generations.
        """
        batch: list[Item] = []
        while not batch and (lines := self._next(generations)):
            bulk = lines[0][2] is not None
            # What waits for a service gains nothing from others in its batch.
            room = 0.0 if lines[0][0].at_once else min(units, seconds / lines[0][0].cost)
            # The same for each client, and then what is left.
            for share in (room / len(lines), room)[len(lines) == 1 :]:
                for line in lines:
                    taken = self._pop(line, batch, share, room)
                    room -= taken
                    if taken and bulk and line in self._lines[bulk]:
                        self._lines[bulk][line] = self._lines[bulk].pop(line)  # it goes last
            if batch:
                self._since_bulk = 0 if bulk else self._since_bulk + 1
        return batch

    def _next(self, generations: Container[int]) -> list[Line]:
        """The lines that may share the next batch, the first of them first."""
        bulk_turn = self._since_bulk >= _BULK_EVERY - 1
        for bulk in (bulk_turn, not bulk_turn):
            lines = [line for line in self._lines[bulk] if line[0].number in generations]
            if lines and bulk:
                return [line for line in lines if line[:2] == lines[0][:2]]
            if len(lines) > 1:
                return [min(lines, key=lambda line: self._lines[False][line][0].order)]
            if lines:
                return lines
        return []

    def _pop(self, line: Line, batch: list[Item], share: float, room: float) -> int:
        """Move items of ``line`` to ``batch``: one if there is room, and no more units than ``share``; their units."""
        taken = 0
        while item := self._front(line):
            # An item that was in a batch when a worker died is sent alone, as it may have been the cause.
            suspect = item.attempts > 0 or (batch and batch[0].attempts > 0)
            fits = taken + item.units <= (min(share, room) if taken else room)
            if batch and (suspect or not fits):
                break
            self._remove(line)
            batch.append(item)
            taken += item.units
        return taken

    def _front(self, line: Line) -> Item | None:
        """The first item of ``line`` that somebody waits for; those before it are dropped."""
        items = self._lines[line[2] is not None].get(line)
        while items:
            if not items[0].future.done():
                return items[0]
            self._remove(line)
        return None

    def _remove(self, line: Line) -> None:
        bulk = line[2] is not None
        items = self._lines[bulk][line]
        item = items.popleft()
        self._lengths[bulk] -= 1
        self._units[bulk][line] -= item.units
        if not items:
            del self._lines[bulk][line], self._units[bulk][line]


def _seconds(waiting: Iterable[tuple[Line, int]]) -> float:
    return sum(units * line[0].cost for line, units in waiting)
