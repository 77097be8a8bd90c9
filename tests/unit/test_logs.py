"""Log lines of the server, and what it does not look through again and again."""

from __future__ import annotations

import asyncio
import gc
import io
from typing import Any

from purport.serving.collection import freeze_gc
from purport.serving.logs import BatchedWriter


class Stream(io.StringIO):
    """Keeps what each call wrote, or is closed at the other end."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        if self.broken:
            raise BrokenPipeError
        self.writes.append(text)
        return len(text)


def written(stream: Stream, *turns: list[str]) -> list[dict[str, Any]]:
    """Log ``turns``, each in a turn of the event loop of its own; what the loop had to complain of."""
    complaints: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        lines = BatchedWriter(stream)
        for turn in turns:
            for line in turn:
                lines.write(line)
            await asyncio.sleep(0.01)

    asyncio.run(run())
    return complaints


def test_lines_of_one_turn_are_one_write() -> None:
    stream = Stream()
    assert not written(stream, ["a", "b"], ["c"])
    assert stream.writes == ["a\nb\n", "c\n"]


def test_a_log_that_nobody_reads_is_no_failure() -> None:
    assert not written(Stream(broken=True), ["a"], ["b"])


def test_what_is_here_is_not_collected_again() -> None:
    before = gc.get_freeze_count()
    try:
        freeze_gc()
        assert gc.get_freeze_count() > before + 1000
    finally:
        gc.unfreeze()
