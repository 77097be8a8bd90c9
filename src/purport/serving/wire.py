"""Messages between the server and its workers: a length, then a pickle. Both ends are processes of this server."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import pickle
import socket
import struct
import time
from typing import Any, NamedTuple

from ..errors import PurportError
from ..model import Usage
from .operations import Request, Result

_LENGTH = struct.Struct("!I")


class Load(NamedTuple):
    """Open the bundle at ``path``, whose id must still be ``bundle``; the reply is ``Loaded``."""

    generation: int
    path: str
    bundle: str


class Drop(NamedTuple):
    """Unload a model; there is no reply."""

    generation: int


class Do(NamedTuple):
    """Run an operation on ``requests``; the reply is ``Done``."""

    batch: int
    generation: int
    operation: str
    requests: list[Request]


class Loaded(NamedTuple):
    """The outcome of loading; ``failure`` is ``None`` if the model was loaded."""

    generation: int
    failure: PurportError | None


class Done(NamedTuple):
    """One result per text, or the text of the error if it failed.

    ``seconds`` is how long the worker worked on them; ``spent``: what services were asked for them.
    """

    batch: int
    results: list[Result | str]
    seconds: float = math.inf
    spent: Usage | None = None


class Beat(NamedTuple):
    """A sign of life, which a worker sends at a steady pace whether it works or not."""


Message = Load | Drop | Do | Loaded | Done | Beat
_KINDS = (Load, Drop, Do, Loaded, Done, Beat)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}


def pack(message: Message) -> bytes:
    """``message`` as bytes: its length and its pickle.

    It is pickled as plain tuples: those with names take about twice as long, at both ends.
    """
    fields: tuple[Any, ...] = tuple(message)
    if isinstance(message, Do):
        fields = (*fields[:3], [tuple(each) for each in message.requests])
    elif isinstance(message, Done):
        results = [each if isinstance(each, str) else tuple(each) for each in message.results]
        fields = (message.batch, results, *fields[2:])
    payload = pickle.dumps((_NUMBERS[type(message)], fields), protocol=5)
    return _LENGTH.pack(len(payload)) + payload


def _unpack(payload: bytes) -> Message:
    number, fields = pickle.loads(payload)
    kind: Any = _KINDS[number]
    if kind is Do:
        batch, generation, operation, requests = fields
        return Do(batch, generation, operation, [Request(*each) for each in requests])
    if kind is Done:
        batch, results, *rest = fields
        return Done(batch, [each if isinstance(each, str) else Result(*each) for each in results], *rest)
    message: Message = kind(*fields)
    return message


async def read(reader: asyncio.StreamReader) -> Message:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other end was closed.
    """
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return _unpack(await reader.readexactly(length))


def receive(connection: socket.socket, spin_s: float = 0.0) -> Message:
    """The next message, blocking. For the first ``spin_s`` seconds it polls, and yields the core to other processes.

    Raises:
        EOFError: the other end was closed.
    """
    end = time.perf_counter() + spin_s
    while time.perf_counter() < end:
        with contextlib.suppress(BlockingIOError):
            if not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                raise EOFError
            break
        os.sched_yield()
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return _unpack(_exactly(connection, length))


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return bytes(received)
