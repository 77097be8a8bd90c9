"""Atomic writing of files and directories, and checksums."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .errors import OutputUnwritable

_MOUNTS = Path("/proc/self/mountinfo")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which replaces ``target`` if the block ends without an exception.

    It has the name of ``target`` and is in a temporary directory next to it, so that the last step is a rename. The
    block may create a file or a directory there; a directory can only replace an empty directory. Links are followed.
    A target that is neither file nor directory, such as ``/dev/null``, is written to, not replaced.
    """
    special = target.exists() and not target.is_file() and not target.is_dir()
    if not special:
        target = Path(os.path.realpath(target))
        target.parent.mkdir(parents=True, exist_ok=True)
    fixed = target.is_dir() and is_fixed(target)
    where = None if special else target if fixed else target.parent
    with TemporaryDirectory(prefix=".partial-", dir=where, ignore_cleanup_errors=True) as beside:
        partial = Path(beside, target.name)
        yield partial
        if special:
            with partial.open("rb") as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            return
        for written in partial.rglob("*"):
            flush(written)
        flush(partial)
        if fixed:
            for child in sorted(partial.iterdir()):
                child.rename(target / child.name)
        else:
            partial.replace(target)
        flush(target if fixed else target.parent)


@contextmanager
def updating(directory: Path) -> Iterator[Path]:
    """A directory to write to; its files replace those of the same names in ``directory`` if the block ends normally.

    Other files in ``directory`` are kept. The files are moved in the order of their names.
    """
    if not directory.exists():
        with replacing(directory) as partial:
            partial.mkdir()
            yield partial
        return
    with TemporaryDirectory(prefix=".partial-", dir=directory, ignore_cleanup_errors=True) as beside:
        yield Path(beside)
        for written in sorted(Path(beside).rglob("*")):
            target = directory / written.relative_to(beside)
            if written.is_dir():
                target.mkdir(exist_ok=True)
            else:
                written.replace(target)


def require_parent(target: Path) -> None:
    """Check that the directory of the file ``target`` exists: a misspelt one should not be created silently.

    Raises:
        OutputUnwritable: it does not.
    """
    if not target.parent.is_dir():
        raise OutputUnwritable(
            f"cannot write {target}: there is no directory {target.parent}; create it or correct the path"
        )


def is_fixed(directory: Path) -> bool:
    """Whether ``directory`` is a mount point or the current directory, which cannot be renamed or replaced."""
    path = os.path.realpath(directory)
    # Path.is_mount does not see a mount point whose parent is on the same file system.
    return Path(path) in _mount_points() or os.path.ismount(path) or path == os.path.realpath(".")


def _mount_points() -> set[Path]:
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return set()
    # The fifth field, in which blanks are octal escapes (proc_pid_mountinfo(5)).
    fields = (re.sub(rb"\\(\d{3})", lambda found: bytes([int(found[1], 8)]), line.split(b" ")[4]) for line in lines)
    return {Path(os.fsdecode(field)) for field in fields}


def user_cache() -> Path:
    """The directory for what can be made again: ``purport`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "purport"


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
