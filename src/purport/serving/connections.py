"""What a connection may cost the server: bytes, seconds, and connections in all."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from typing import Protocol

HEAD_BYTES = 32_768
"""Largest request line and headers together."""
HEADERS = 100
"""Most headers of a request."""
HEAD_S = 10.0
"""Seconds from the beginning of a connection, or of a request, to the end of its headers."""
REST_S = 10.0
"""Seconds in which the rest of a body is read that nobody waits for any more."""
STALL_S = 30.0
"""Seconds in which a client must read what the server has written, down to a few kilobytes."""
PIECE = 4096
"""Bytes that are parsed at once: the requests in them may be answered before more is parsed."""
PIPELINED = 32
"""Most requests of a connection that wait behind one another."""

_CONNECTIONS = 4096
_RESERVE = 256  # descriptors for workers, files and the listener


class Connection(Protocol):
    """A connection that waits for a request."""

    def give_up(self) -> None:
        """Close it."""
        ...


class Connections:
    """All connections. Where there are too many, the one that has been idle for longest makes room.

    Args:
        most: the largest number of connections.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._idle: dict[Connection, None] = {}

    def idle(self, connection: Connection) -> None:
        """``connection`` waits for a request."""
        self._idle[connection] = None

    def busy(self, connection: Connection) -> None:
        """``connection`` has a request, or is closed."""
        self._idle.pop(connection, None)

    def make_room(self, open_now: int) -> bool:
        """Close an idle connection if more than :attr:`most` are open; whether there is room for the newest."""
        if open_now <= self.most:
            return True
        oldest = next(iter(self._idle), None)
        if oldest is None:
            return False
        self.busy(oldest)
        oldest.give_up()
        return True


class Timer:
    """One time limit at a time."""

    def __init__(self, expired: Callable[[], None]) -> None:
        self._expired = expired
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Begin to count, unless it counts already."""
        if self._handle is None:
            self._handle = loop.call_later(seconds, self._run)

    def stop(self) -> None:
        """Forget the time limit."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run(self) -> None:
        self._handle = None
        self._expired()


def most_connections() -> int:
    """Raise the soft limit of open files as far as needed and allowed; how many connections there may be then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _RESERVE
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(_CONNECTIONS, max(soft - _RESERVE, soft // 2))
