"""Files and directories: written so that they are complete or absent, and their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to that takes the place of ``target`` when the block ends without an exception.

    It has the name of ``target`` and lies in a directory beside it, so that the last step is a rename. The block may
    make a file or a directory there; a directory takes the place of an empty one only.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".partial-", dir=target.parent, ignore_cleanup_errors=True) as beside:
        partial = Path(beside, target.name)
        yield partial
        for written in partial.rglob("*"):
            flush(written)
        flush(partial)
        partial.replace(target)
        flush(target.parent)


def write_text(target: Path, content: str) -> None:
    """Write ``content`` to ``target`` as UTF-8, whole or not at all."""
    with replacing(target) as partial:
        partial.write_text(content, "utf-8")


def sha256(file: Path) -> str:
    """The checksum of what is in ``file``, as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Have the system write the file or directory ``path`` to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
