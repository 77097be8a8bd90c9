"""Opens text files, gzipped or not, for the line-based formats."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import IO, Any

# Bytes that are not UTF-8 become lone surrogates, so that one bad row does not stop the reading of a file.
_ERRORS = "surrogateescape"
NOT_UTF8 = "is not valid UTF-8; save the file as UTF-8"


def open_read(path: Path) -> IO[str]:
    """Open ``path`` as text; a byte order mark is skipped, and line ends are not converted."""
    binary: Any = gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # noqa: SIM115
    return io.TextIOWrapper(binary, encoding="utf-8-sig", errors=_ERRORS, newline="")


def open_write(path: Path) -> IO[str]:
    """Open ``path`` for writing text; what was read as not UTF-8 is written as it was.

    Gzip files have no time stamp, so that equal content gives equal bytes.
    """
    if path.suffix.lower() == ".gz":
        binary = gzip.GzipFile(filename="", mode="wb", fileobj=path.open("wb"), mtime=0)
        return io.TextIOWrapper(binary, encoding="utf-8", errors=_ERRORS, newline="")
    return path.open("w", encoding="utf-8", errors=_ERRORS, newline="")


def is_utf8(text: str) -> bool:
    """Whether ``text`` can be encoded as UTF-8, that is, has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
