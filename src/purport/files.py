"""Writing files so that they are complete or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to that takes the place of ``target`` when the block ends without an exception.

    It has the suffixes of ``target`` and lies beside it, so that the last step is a rename.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".partial-{os.getpid()}-{target.name}")
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_text(target: Path, content: str) -> None:
    """Write ``content`` to ``target`` as UTF-8, whole or not at all."""
    with replacing(target) as partial:
        partial.write_text(content, "utf-8")
