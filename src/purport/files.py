"""Atomic writing of files and directories, and checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which replaces ``target`` if the block ends without an exception.

    It has the name of ``target`` and is in a temporary directory next to it, so that the last step is a rename. The
    block may create a file or a directory there; a directory can only replace an empty directory.
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
    """Write ``content`` to ``target`` as UTF-8, completely or not at all."""
    with replacing(target) as partial:
        partial.write_text(content, "utf-8")


def sha256(file: Path) -> str:
    """The sha256 of the content of ``file``, as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Flush the file or directory ``path`` to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
