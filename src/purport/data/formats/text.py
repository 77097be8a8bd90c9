"""Opening text files, gzipped or not, for the line formats."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import IO, Any

# Bytes that are not UTF-8 become lone surrogates, so that one broken row does not end the file.
_ERRORS = "surrogateescape"
NOT_UTF8 = "is not valid UTF-8; save the file as UTF-8"


def open_read(path: Path) -> IO[str]:
    """``path`` as text; a byte order mark is passed over. Line ends are kept as they are."""
    binary: Any = gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # noqa: SIM115
    return io.TextIOWrapper(binary, encoding="utf-8-sig", errors=_ERRORS, newline="")


def open_write(path: Path) -> IO[str]:
    """``path`` for writing text; gzip members carry no time stamp, so that equal content is equal bytes."""
    if path.suffix.lower() == ".gz":
        binary = gzip.GzipFile(filename="", mode="wb", fileobj=path.open("wb"), mtime=0)
        return io.TextIOWrapper(binary, encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")


def is_utf8(text: str) -> bool:
    """Whether ``text`` holds Unicode characters only, no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
