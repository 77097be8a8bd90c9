"""A lock on a file that one process holds, and that ends with the process, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A file system without locks, such as NFS without its lock service.
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


class Locked(Exception):
    """Another process holds the lock; the message names it."""


@contextmanager
def lock(file: Path) -> Iterator[bool]:
    """Hold the lock ``file``, which is deleted afterwards.

    Gives whether the file system supports locks (``flock(2)``). If it does not, nothing is locked.

    Raises:
        Locked: another process holds it.
        OSError: the file cannot be created.
    """
    handle, supported = _acquire(file)
    try:
        yield supported
    finally:
        file.unlink(missing_ok=True)  # before the lock is released: afterwards the name may be another process's
        os.close(handle)


def _acquire(file: Path) -> tuple[int, bool]:
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:  # some network file systems only lock what is open for writing
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # the last holder has just deleted the directory
            continue
        try:
            supported = _flock(handle)
            if _is(file, handle):  # otherwise its last holder deleted it after we opened it
                started = time.strftime("%Y-%m-%d %H:%M:%S")
                os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}, since {started}".encode(), 0)
                return handle, supported
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _flock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode(errors="replace")
        raise Locked(holder or "another process") from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def _is(file: Path, handle: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
