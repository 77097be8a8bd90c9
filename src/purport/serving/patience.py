"""How long a worker may give no sign of life, work on one batch, or load one model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

SILENT = "silent"
"""The complaint about a worker that has stopped as a whole, for which no text is to blame."""


@dataclass(eq=False)
class Pulse:
    """What is known of a worker's life, in ticks: since its last message, with its batch, and since each load began.

    ``heard`` says whether it has sent any message yet.
    """

    silent: int = 0
    busy: int = 0
    heard: bool = False
    loading: dict[int, int] = field(default_factory=dict)

    def tick(self, *, busy: bool) -> None:
        """Count a tick."""
        self.silent += 1
        self.busy = self.busy + 1 if busy else 0
        if self.heard:
            for number in self.loading:
                self.loading[number] += 1


@dataclass(frozen=True)
class Patience:
    """Limits in ticks of ``tick_s`` seconds; workers beat once per tick.

    Ticks are counted, so that a clock that jumps or a pause of the server itself makes no worker look stuck. A worker
    that is stopped is found in time for another one to answer its texts. One that hangs in a text is given up when its
    clients have been told that the deadline is over.
    """

    tick_s: float
    silent: int
    busy: int
    starting: int
    loading: int

    @classmethod
    def of(cls, deadline_s: float) -> Patience:
        """Half a deadline of silence (at most 5 s), and one and a half of work, but a second of each at least."""
        tick_s = min(max(deadline_s / 8, 0.1), 1.0)
        limits = max(min(deadline_s / 2, 5.0), 1.0), max(1.5 * deadline_s, 1.0), 60.0, 150.0
        return cls(tick_s, *(math.ceil(limit / tick_s) for limit in limits))

    def complaint(self, pulse: Pulse) -> str:
        """``silent`` or ``busy`` if that has lasted too long, otherwise nothing."""
        if pulse.silent > (self.silent if pulse.heard else self.starting):
            return SILENT
        return "busy" if pulse.busy > self.busy else ""

    def lingers(self, pulse: Pulse) -> bool:
        """Whether a load has lasted too long."""
        return max(pulse.loading.values(), default=0) > self.loading
