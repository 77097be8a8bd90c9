"""Where a bundle is written: what may be there before, and how it is replaced without ever being absent."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import OutputExists, OutputUnwritable
from .files import flush, is_fixed
from .locks import Locked, lock

MANIFEST = "manifest.json"
LOCK = "lock"
REPLACED = "replaced"
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100
# A new file system has this directory, and people mount one to have room for a bundle.
NO_CONTENT = {"lost+found"}
WORK = ".run"
"""The work directory in a directory that cannot be replaced."""
# The file system cannot exchange two directories, for example NFS.
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


@dataclass(frozen=True, slots=True)
class Destination:
    """The directory that becomes a bundle.

    Attributes:
        path: absolute, links followed, whether or not it exists.
        fixed: whether it is a mount point or the current directory, which cannot be renamed or replaced. A bundle is
            then moved into it file by file, its manifest last.
    """

    path: Path
    fixed: bool

    @classmethod
    def of(cls, out: str | os.PathLike[str]) -> Destination:
        """The destination that a user calls ``out``."""
        path = Path(os.path.realpath(out))
        return cls(path, is_fixed(path))

    @property
    def work(self) -> Path:
        """The directory for lock, checkpoints, logs and stage; on the same file system as ``path``."""
        return self.path / WORK if self.fixed else self.path.with_name(self.path.name + ".run")

    @property
    def is_bundle(self) -> bool:
        """Whether there is a bundle at ``path``, intact or not."""
        return (self.path / MANIFEST).is_file()

    def require_free(self, *, overwrite: bool) -> None:
        """Check that a bundle may be written here.

        Raises:
            OutputExists: it may not. Only a bundle or an empty directory is ever overwritten.
            OutputUnwritable: its parent is a file, or what is there cannot be read.
        """
        try:
            if not self.path.is_dir():
                self._require_no_file()
                return
            content = {child.name for child in self.path.iterdir()} - NO_CONTENT
            is_bundle = self.is_bundle
        except OSError as error:
            raise self._unwritable(error) from None
        if not content - ({self.work.name} if self.fixed else set()):
            return
        if not is_bundle:
            raise OutputExists(f"{self.path} already exists; it is not a bundle, so choose another path")
        if self.fixed and overwrite:
            raise OutputExists(
                f"{self.path} is a mount point or the current directory, whose bundle cannot be replaced in one step; "
                f"choose a directory in it, such as {self.path / 'bundle'}"
            )
        if not overwrite:
            raise OutputExists(f"{self.path} already exists; pass --overwrite to replace it")

    def _require_no_file(self) -> None:
        if self.path.exists():
            raise OutputExists(f"{self.path} is a file; choose the path of a directory")
        above = next(parent for parent in self.path.parents if parent.exists())
        if not above.is_dir():
            raise OutputUnwritable(f"cannot write {self.path}: {above} is a file; choose another path")

    def create_work(self) -> None:
        """Create ``work`` and check that a bundle can get from there to ``path``; both are tried, not guessed.

        Raises:
            OutputUnwritable: the directories cannot be written, or are on different file systems.
        """
        beside = self.path if self.fixed else self.path.parent
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryDirectory(prefix=".partial-", dir=beside).cleanup()
            same = self.work.stat().st_dev == beside.stat().st_dev
            writable = self.fixed or not self.path.exists() or os.access(self.path, os.W_OK)
        except OSError as error:
            raise self._unwritable(error) from None
        if not writable:
            raise OutputUnwritable(f"cannot write {self.path}: permission denied; choose another path")
        if not same:
            raise OutputUnwritable(
                f"{self.work}, which is needed for checkpoints, is on another file system than {self.path}; "
                "remove it or choose another path"
            )

    def room(self) -> int:
        """Free bytes for files in ``work``."""
        found = os.statvfs(self.work)
        return found.f_bavail * found.f_frsize

    def put(self, stage: Path) -> None:
        """Make the directory ``stage`` the content of ``path``, by one rename where there is a bundle.

        If the process is killed, ``path`` is the old bundle or the new one. Without an exchange of directories there
        is a moment without either; :func:`recover` ends it.

        Raises:
            OSError: neither is changed.
        """
        if self.fixed:
            self._fill(stage)
        elif not self.is_bundle:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            stage.rename(self.path)
        elif not exchange(stage, self.path):
            aside = stage.parent / REPLACED
            self.path.rename(aside)
            try:
                stage.rename(self.path)
            except OSError:
                aside.rename(self.path)
                raise
            shutil.rmtree(aside, ignore_errors=True)
        flush(self.path.parent)

    def _fill(self, stage: Path) -> None:
        children = sorted(stage.iterdir(), key=lambda child: child.name == MANIFEST)
        for child in children:
            child.rename(self.path / child.name)
        flush(self.path)

    def restore(self) -> None:
        """Put back the old bundle of a process that was killed while it replaced it. The lock must be held."""
        aside = self.work / REPLACED
        if not self.path.exists() and (aside / MANIFEST).is_file():
            aside.rename(self.path)

    def _unwritable(self, error: OSError) -> OutputUnwritable:
        return OutputUnwritable(f"cannot write {self.path}: {error.strerror or error}; choose another path")


def recover(path: Path) -> None:
    """Restore the old bundle at ``path`` if a process was killed while it replaced it; otherwise do nothing."""
    destination = Destination(path, fixed=False)
    if path.exists() or not (destination.work / REPLACED).exists():
        return
    with suppress(OSError):
        try:
            with lock(destination.work / LOCK):
                destination.restore()
        except Locked:  # it is being replaced right now, by two renames
            time.sleep(0.1)


def exchange(one: Path, other: Path) -> bool:
    """Exchange what two paths name, in one step; ``False`` if the system or the file system cannot do that.

    ``renameat2(2)`` with ``RENAME_EXCHANGE``: Linux 3.15 with ext4, XFS, Btrfs, tmpfs and others.

    Raises:
        OSError: it failed for another reason.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))
