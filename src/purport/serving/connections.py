"""What a connection may cost the server: bytes, seconds, and connections in all."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

HEAD_BYTES = 32_768
"""Largest request line and headers together."""
HEADERS = 100
"""Most headers of a request."""
HEAD_S = 10.0
"""Seconds from the beginning of a connection, or of a request, to the end of its headers."""
REST_S = 10.0
"""Seconds in which the rest of a body is read that nobody waits for any more."""
PAUSE_S = 1.0
"""Seconds without a byte after which such a rest is not waited for."""
STALL_S = 30.0
"""Seconds in which a client must read what the server has written, down to a few kilobytes."""
PIECE = 4096
"""Bytes that are parsed at once: the requests in them may be answered before more is parsed."""
PIPELINED = 32
"""Most requests of a connection that wait behind one another."""
LARGE = 65_536
"""Bytes that arrive at once from which on the next ones of their connection are read only in its turn."""

_LARGE_PER_S = 64 * 2**20  # bytes; a core parses two to four times as many
_CONNECTIONS = 4096
_RESERVE = 256  # descriptors for workers, files and the listener

_HEAD, _LENGTH = b"HTTP/1.1 ", b"\r\ncontent-length: "


class Connection(Protocol):
    """A connection that waits for its client."""

    def make_room(self) -> None:
        """Close it at once."""
        ...


class Connections:
    """All connections. Where there are too many, the one that has waited for its client for longest makes room.

    It waits for a request, for the rest of one, or for the client to read: whoever holds a place does something for it.

    Args:
        most: the largest number of connections.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._waiting: dict[Connection, None] = {}
        self._free_at = 0.0

    def waits(self, connection: Connection) -> None:
        """``connection`` waits for its client, from now on."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def busy(self, connection: Connection) -> None:
        """``connection`` has a request, or is closed."""
        self._waiting.pop(connection, None)

    def next_turn(self, count: int, now: float) -> float:
        """When a connection from which ``count`` bytes have just been parsed may be read again.

        So a part of the time is left to others, however many connections send large bodies.
        """
        self._free_at = max(now, self._free_at) + count / _LARGE_PER_S
        return self._free_at

    def make_room(self, open_now: int) -> bool:
        """Close a waiting connection if more than :attr:`most` are open; whether there is room for the newest."""
        if open_now <= self.most:
            return True
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self.busy(oldest)
        oldest.make_room()
        return True


class Flow(FlowControl):
    """uvicorn's control of what is read from a connection, which can be held for a while whatever uvicorn wants."""

    _held = False
    _wanted = True

    def hold(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """Read nothing until then."""
        if not self._held:
            self._held, self._wanted = True, not self.read_paused
            super().pause_reading()
            loop.call_at(until, self._release)

    def _release(self) -> None:
        self._held = False
        if self._wanted:
            super().resume_reading()

    def pause_reading(self) -> None:
        """uvicorn wants no more for now."""
        self._wanted = False
        super().pause_reading()

    def resume_reading(self) -> None:
        """uvicorn wants more."""
        self._wanted = True
        if not self._held:
            super().resume_reading()


class Joined:
    """The transport for one response: a head that says how long the body is, is written together with the body.

    uvicorn writes both by themselves: two calls of the system, and two packets that wake the client twice. A response
    without a body, to ``HEAD``, must not be written to it.
    """

    __slots__ = ("_head", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing
        self._head: bytes | None = b""  # what waits; ``None`` once it was written

    def write(self, data: bytes) -> None:
        """Write ``data``, or keep it for what follows."""
        if self._head:
            data, self._head = self._head + data, None
        elif self._head is not None and data.startswith(_HEAD) and _LENGTH in data:
            self._head = data
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close the connection, after what was written."""
        if self._head:
            self._transport.write(self._head)
        self._transport.close()


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

    def end(self) -> None:
        """Forget the time limit for good, and what it is for."""
        self.stop()
        self._expired = _nothing

    def _run(self) -> None:
        self._handle = None
        self._expired()


def _nothing() -> None:
    """Does nothing."""


def most_connections() -> int:
    """Raise the soft limit of open files as far as needed and allowed; how many connections there may be then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _RESERVE
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(_CONNECTIONS, max(soft - _RESERVE, soft // 2))
