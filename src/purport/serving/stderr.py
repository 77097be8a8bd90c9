"""A standard error that never blocks and never fails, so that nobody who reads the log, or does not, stops a server."""

from __future__ import annotations

import io
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

# Characters that may wait to be written: about 5,000 lines of requests.
_CAPACITY = 1_000_000
# Lines wait this long before they are written together: single writes are slow, and so is a thread that wakes often.
_GATHER_S = 0.1
# What is still to be written when the process ends gets this long.
_FAREWELL_S = 1.0
_CHUNK = 65_536


class PatientStream(io.TextIOBase):
    """Writes to ``stream`` in a thread.

    At most ``capacity`` characters wait; a write for which there is no room, or that ``stream`` refuses, is dropped.
    Once ``stream`` takes something again, a log line says how many lines are missing.

    Attributes:
        dropped: lines that were dropped since the start.
    """

    def __init__(self, stream: TextIO, capacity: int = _CAPACITY) -> None:
        self.dropped = 0
        self._stream = stream
        self._capacity = capacity
        self._pieces: deque[str] = deque()
        self._room = capacity
        self._told = 0
        self._changing = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self._stream.encoding or "utf-8"

    def writable(self) -> bool:
        """Yes."""
        return True

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Keep ``text`` for the thread, or drop it if there is no room."""
        with self._changing:
            if len(text) > self._room:
                self.dropped += max(1, text.count("\n"))
            else:
                self._room -= len(text)
                self._pieces.append(text)
        if not self._wake.is_set():
            self._wake.set()
        return len(text)

    def finish(self) -> bool:
        """Write what still waits, for a second at most; whether all of it was written."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_FAREWELL_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not (self._closing.is_set() and not self._pieces):
            self._wake.wait()
            self._closing.wait(_GATHER_S)
            self._wake.clear()
            while text := self._take():
                self._deliver(text)

    def _take(self) -> str:
        """About a chunk of what waits."""
        taken: list[str] = []
        with self._changing:
            size = 0
            while self._pieces and size < _CHUNK:
                taken.append(self._pieces.popleft())
                size += len(taken[-1])
            self._room += size
        return "".join(taken)

    def _deliver(self, text: str) -> None:
        try:
            self._put(text)
        except (OSError, ValueError):  # a full disk, a reader that has gone, a closed stream
            with self._changing:
                self.dropped += max(1, text.count("\n"))
            return
        missing, self._told = self.dropped - self._told, self.dropped
        if missing:
            logging.getLogger("purport.log").warning("%d log lines were dropped: nobody took them", missing)

    def _put(self, text: str) -> None:
        try:
            descriptor = self._stream.fileno()
        except io.UnsupportedOperation:
            self._stream.write(text)
            self._stream.flush()
            return
        # Around the stream's own buffer: the interpreter, when it ends, would wait for a lock that this thread holds.
        left = memoryview(text.encode(self.encoding, "backslashreplace"))
        while left:
            try:
                left = left[os.write(descriptor, left[:_CHUNK]) :]
            except BlockingIOError:  # whoever started us made it so
                select.select([], [descriptor], [])


@contextmanager
def patient_stderr() -> Iterator[None]:
    """Make standard error a :class:`PatientStream` inside the block, and after it if its reader still takes nothing."""
    before = sys.stderr
    with suppress(OSError, ValueError):
        before.flush()
    stream = PatientStream(before)
    sys.stderr = stream
    try:
        yield
    finally:
        if stream.finish():
            sys.stderr = before
