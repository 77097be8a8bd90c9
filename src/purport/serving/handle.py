"""What the server knows of one worker, and how it talks to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field

from .generation import Generation
from .patience import Pulse
from .queue import Item
from .wire import Load, Message, pack


@dataclass(eq=False)
class Handle:
    """The server's view of one worker; ``failures`` counts the failed loads of each generation.

    ``items`` keep it busy; those that are ``away``, by batch and with the time, wait for a service in threads of it.
    One that is ``replaced`` answers until another one has all its models.
    """

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    loaded: set[int] = field(default_factory=set)
    batch: int = -1
    items: list[Item] = field(default_factory=list)
    since: float = 0.0
    away: dict[int, tuple[list[Item], float]] = field(default_factory=dict)
    pulse: Pulse = field(default_factory=Pulse)
    failures: Counter[int] = field(default_factory=Counter)
    complaint: str = ""
    killed: bool = False
    replaced: bool = False

    @property
    def free_for(self) -> set[int]:
        """The generations of which it can be given texts now, if it is idle."""
        if not self.away:
            return self.loaded
        asked = Counter(items[0].generation for items, _ in self.away.values())
        return self.loaded - {each.number for each, texts in asked.items() if texts >= each.at_once}

    def load(self, generation: Generation) -> None:
        """Have it load ``generation``."""
        bundle = generation.bundle
        self.pulse.loading[generation.number] = 0
        self.send(Load(generation.number, str(bundle.path), bundle.manifest.id))

    def kill(self) -> None:
        """Kill the process, if it still lives."""
        self.killed = True
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def send(self, message: Message) -> None:
        """Queue a message."""
        self.write(pack(message))

    def write(self, frame: bytes) -> None:
        """Queue a packed message; the reader notices if the worker has died."""
        with contextlib.suppress(RuntimeError):  # raised by uvloop for a broken pipe
            self.writer.write(frame)
