"""Who may rewrite a bundle on the disk at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakValueDictionary

_DESKS = 2  # each takes memory


class Desks:
    """Whoever rewrites a bundle has its directory alone, and one of two desks: one that hangs leaves the other free."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_DESKS)
        self._turns: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, directory: Path) -> AsyncIterator[None]:
        """A block in which nobody else rewrites ``directory``."""
        turn = self._turns.setdefault(directory, asyncio.Lock())
        async with turn, self._free:
            yield
