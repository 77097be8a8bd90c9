"""Reads the files of a bundle, which may come from anybody: regular files of a bounded size, and nothing else.

Whatever is wrong with a file is a :class:`~purport.errors.BundleCorrupt` that names it. Nothing here waits for another
process, follows a link, or uses more memory than the size of a file suggests.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from .errors import BundleCorrupt, PurportError

_MIB = 2**20
LONGEST_MANIFEST = 4 * _MIB
LONGEST_DOCUMENT = 128 * _MIB
# By what a name ends with; no other file may be larger than one of ONNX can be.
_LARGEST = {"manifest.json": LONGEST_MANIFEST, ".json": LONGEST_DOCUMENT, ".md": LONGEST_DOCUMENT, "": 2048 * _MIB}
# Lists and objects, which need much more memory than bytes in a document; those of Purport are long, but flat.
_MOST_LISTS = 100_000
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_CHUNK = _MIB
_LONGEST_REASON = 200
_WANTED: ContextVar[Callable[[], bool]] = ContextVar("wanted", default=lambda: True)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@contextmanager
def while_wanted(wanted: Callable[[], bool]) -> Iterator[None]:
    """Inside the block, files are read only as long as ``wanted`` says so."""
    before = _WANTED.set(wanted)
    try:
        yield
    finally:
        _WANTED.reset(before)


def largest(name: str) -> int:
    """The most bytes that the file ``name`` of a bundle may have."""
    return next(most for end, most in _LARGEST.items() if name.endswith(end))


@contextmanager
def opened(directory: Path, name: str) -> Iterator[tuple[BinaryIO, int]]:
    """The file ``name`` in ``directory``, open for reading, and its size in bytes.

    Raises:
        BundleCorrupt: it is missing, larger than such a file may be, or not a regular file; or there is a link on the
            way to it.
    """
    _require_wanted(directory, name)
    with _as_unreadable(directory, name):
        stream, size = _open(directory, name)
    with stream:
        if size > largest(name):
            raise BundleCorrupt(directory, name, f"has {size:,} bytes; such a file has at most {largest(name):,}")
        yield stream, size


def is_there(directory: Path, name: str) -> bool:
    """Whether ``directory`` has anything called ``name``."""
    return os.path.lexists(directory / name)


def read_bytes(directory: Path, name: str, most: int | None = None) -> bytes:
    """The content of the file ``name``, which may have at most ``most`` bytes.

    Raises:
        BundleCorrupt: see :func:`opened`.
    """
    with opened(directory, name) as (stream, size):
        if most is not None and size > most:
            raise BundleCorrupt(directory, name, f"has {size:,} bytes; such a file has at most {most:,}")
        with _as_unreadable(directory, name):
            return stream.read(size)


def read_json(directory: Path, name: str, most: int | None = None) -> Any:
    """The document in the file ``name``.

    Raises:
        BundleCorrupt: see :func:`opened`; or it is not JSON by RFC 8259, such as one with ``NaN``.
    """
    raw = read_bytes(directory, name, most)
    with loading(directory, name):
        return parse_json(raw)


def parse_json(raw: bytes, *, most_keys: int | None = None) -> Any:
    """The document ``raw``, in which every number is finite, every string can be encoded, and no object has more keys.

    Raises:
        ValueError: it is not such a document.
        RecursionError: it is nested too deeply.
    """
    if (n := raw.count(b"[") + raw.count(b"{")) > _MOST_LISTS:
        n -= sum(found[0].count(b"[") + found[0].count(b"{") for found in _STRINGS.finditer(raw))
        if n > _MOST_LISTS:
            raise ValueError(f"it has {n:,} lists and objects")

    def bounded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(pairs) > (most_keys or 0):
            raise ValueError(f"an object has {len(pairs):,} keys")
        return dict(pairs)

    hook = None if most_keys is None else bounded
    document = json.loads(raw.decode(), parse_constant=no_constant, object_pairs_hook=hook)
    if _SURROGATE.search(raw):  # emoji have pairs of them; one alone is no character
        json.dumps(document, ensure_ascii=False).encode()
    return document


def verify(directory: Path, name: str, size: int, sha256: str) -> None:
    """Check the size and the sha256 of the file ``name``.

    Raises:
        BundleCorrupt: it is another one, or see :func:`opened`.
    """
    with opened(directory, name) as (stream, found):
        if found != size:
            raise BundleCorrupt(directory, name, f"has {found} bytes instead of {size}")
        digest, left = hashlib.sha256(), size
        with _as_unreadable(directory, name):
            while left and (chunk := stream.read(min(left, _CHUNK))):
                _require_wanted(directory, name)
                digest.update(chunk)
                left -= len(chunk)
    if digest.hexdigest() != sha256:
        raise BundleCorrupt(directory, name, "does not match its checksum")


def _require_wanted(directory: Path, name: str) -> None:
    if not _WANTED.get()():
        raise BundleCorrupt(directory, name, "was not read to its end, because nobody waits for it any more")


@contextmanager
def loading(directory: Path, name: str, problem: str = "cannot be loaded") -> Iterator[None]:
    """Inside the block, whatever a library makes of the file ``name`` is reported as a damaged bundle.

    Libraries in Rust raise panics, which are not of the class ``Exception``.

    Raises:
        BundleCorrupt: anything but an error of Purport was raised.
    """
    try:
        yield
    except (PurportError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise BundleCorrupt(directory, name, f"{problem} ({shortened(error)})") from error


def shortened(error: object) -> str:
    """The first line of ``error``, not more than 200 characters of it: a file decides what stands in there."""
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]}..."


def _open(directory: Path, name: str) -> tuple[BinaryIO, int]:
    *folders, file = PurePosixPath(name).parts
    # Step by step: O_NOFOLLOW is about the last part of a path. Links that lead to the bundle are the user's own.
    at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        # Asked before as well, because opening a device may do something.
        if not stat.S_ISREG(os.stat(file, dir_fd=at, follow_symlinks=False).st_mode):
            raise BundleCorrupt(directory, name, "is not a regular file")
        stream = open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at), "rb")  # noqa: SIM115, PTH123
    finally:
        os.close(at)
    found = os.fstat(stream.fileno())
    if not stat.S_ISREG(found.st_mode):
        stream.close()
        raise BundleCorrupt(directory, name, "is not a regular file")
    return stream, found.st_size


@contextmanager
def _as_unreadable(directory: Path, name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BundleCorrupt(directory, name, "is missing") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise BundleCorrupt(directory, name, f"cannot be read ({shortened(error)})") from None


def no_constant(name: str) -> None:
    """Refuse ``NaN`` and ``Infinity``, which Python reads and which are not JSON (RFC 8259).

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not a number")
