"""Messages between the server and its workers: a length, then a pickle. Both ends are our own processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
import struct
import time
from typing import Any, NamedTuple

from ..errors import PurportError
from .operations import Request, Result

_LENGTH = struct.Struct("!I")


class Load(NamedTuple):
    """Open the bundle at ``path``, which has to be ``bundle`` still; answered with ``Loaded``."""

    generation: int
    path: str
    bundle: str


class Drop(NamedTuple):
    """Forget a model; not answered."""

    generation: int


class Do(NamedTuple):
    """Answer ``requests`` with an operation; answered with ``Done``."""

    batch: int
    generation: int
    operation: str
    requests: list[Request]


class Loaded(NamedTuple):
    """How loading ended; ``failure`` is ``None`` when the model is there."""

    generation: int
    failure: PurportError | None


class Done(NamedTuple):
    """One result per text, an error's text where it failed."""

    batch: int
    results: list[Result | str]


def pack(message: object) -> bytes:
    """One frame."""
    payload = pickle.dumps(message, protocol=5)
    return _LENGTH.pack(len(payload)) + payload


async def read(reader: asyncio.StreamReader) -> Any:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other end is gone.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))


def receive(connection: socket.socket, spin_s: float = 0.0) -> Any:
    """The next message, blocking; for the first ``spin_s`` seconds by asking again and again.

    Whoever else wants the core gets it in between.

    Raises:
        EOFError: the other end is gone.
    """
    end = time.perf_counter() + spin_s
    while time.perf_counter() < end:
        with contextlib.suppress(BlockingIOError):
            if not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                raise EOFError
            break
        os.sched_yield()
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return pickle.loads(_exactly(connection, length))


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return bytes(received)
