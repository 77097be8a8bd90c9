"""Opens text files for the line-based formats: compressed with gzip or not, in any encoding."""

from __future__ import annotations

import codecs
import gzip
import io
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ...errors import DataError
from .content import encoding_of, is_packed, magic
from .lines import lines

# Bytes that are not UTF-8 become lone surrogates, so that one bad row does not stop the reading of a file.
ERRORS = "surrogateescape"
NOT_UTF8 = "is not valid UTF-8; save the file as UTF-8, or name its encoding with --encoding (encoding in a recipe)"
_HEAD, _CHUNK = 4096, 1 << 16
_FEW, _MANY = 3, 0.05  # lines that are not UTF-8, and their share, from which the whole file has another encoding
# Those in which spreadsheets save; a word that mixes Latin letters with others is in none of the last three.
_LEGACY = ("cp1252", "cp1250", "cp1251", "cp1254", "cp1253", "gb18030", "shift_jis", "euc_kr")
_ASIAN = _LEGACY[5:]


def open_read(path: Path, encoding: str | None = None) -> io.TextIOWrapper:
    """Open ``path`` as text, decompressed if it is gzip; its ``encoding`` is the one given or found in its first bytes.

    A byte order mark is skipped, and line ends are not converted.

    Raises:
        DataError: it is not a text file, or ``encoding`` is unknown.
    """
    zipped = is_packed(path) or path.suffix.lower() == ".gz"
    plain: Any = path.open("rb")
    try:
        binary = io.BufferedReader(_Closing(gzip.GzipFile(fileobj=plain) if zipped else plain, plain), _CHUNK)
        found = encoding or encoding_of(binary.peek(_HEAD)[:_HEAD])
        try:
            codec = codecs.lookup(found).name
        except LookupError:
            raise DataError(
                f'unknown encoding "{found}"; --encoding may be utf-8, utf-16, cp1252 or another that Python knows'
            ) from None
        return io.TextIOWrapper(binary, "utf-8-sig" if codec == "utf-8" else codec, ERRORS, newline="")
    except BaseException:
        plain.close()
        raise


def open_write(path: Path, encoding: str = "utf-8") -> IO[str]:
    """Open ``path`` for writing text; what was read as not UTF-8 is written as it was.

    Gzip files have no time stamp, so that equal content gives equal bytes.
    """
    if path.suffix.lower() == ".gz":
        binary = gzip.GzipFile(filename="", mode="wb", fileobj=path.open("wb"), mtime=0)
        return io.TextIOWrapper(binary, encoding=encoding, errors=ERRORS, newline="")
    return path.open("w", encoding=encoding, errors=ERRORS, newline="")


def habits(path: Path, encoding: str | None = None) -> tuple[str, str]:
    """The encoding to write a file like ``path`` in, and its line end."""
    with open_read(path, encoding) as stream:
        end = "\r\n" if stream.readline().endswith("\r\n") else "\n"
        found = stream.encoding
    with open_read(path, "latin-1") as stream:  # the bytes as characters
        marked = stream.read(3).encode("latin-1") == codecs.BOM_UTF8
    return ("utf-8" if found == "utf-8-sig" and not marked else found), end


def is_utf8(text: str) -> bool:
    """Whether ``text`` can be encoded as UTF-8, that is, has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_readable(head: Sequence[str], encoding: str | None) -> None:
    """Check that the lines ``head``, the first of a file, are in the ``encoding`` that was named, or else in UTF-8.

    A bad line here and there may be a bad row.

    Raises:
        DataError: the first line or many lines are not; the message shows a word in the encodings that it may be in.
    """
    bad = [line for line in head if not is_utf8(line)]
    if bad and (bad[0] == head[0] or len(bad) > max(_FEW, _MANY * len(head))):
        if encoding is not None and not codecs.lookup(encoding).name.startswith("utf-8"):
            raise DataError(f"is not valid {encoding}, which was named; name another encoding, if it is a text at all")
        shapes = ", ".join(f'"{shown}" with {encoding}' for encoding, shown in _shapes(bad[0]).items())
        raise DataError(NOT_UTF8 + (f"; a word of it is {shapes}" if shapes else ""))


def _shapes(line: str) -> dict[str, str]:
    """Encodings that ``line``, which is not UTF-8, may have, each with a word of it; of equal words only the first."""
    words = re.findall(rb"[\w\x80-\xff]+", line.encode("utf-8", ERRORS))
    word = next(word for word in words if not word.isascii())
    found: dict[str, str] = {}
    for encoding in _LEGACY:
        with suppress(UnicodeDecodeError):
            shown = word.decode(encoding)
            if shown.isalpha() and not (encoding in _ASIAN and any(map(str.isascii, shown))):
                found.setdefault(shown, encoding)
    return {encoding: shown for shown, encoding in found.items()}


def suggested(path: Path) -> dict[str, str] | None:
    """Encodings that ``path`` may have, each with a word of it, if it is a text file that is not UTF-8.

    A file is UTF-8 if most of its lines with other than ASCII characters are: one such line elsewhere is a bad row.
    """
    if magic(path) not in (None, "gzip"):
        return None
    with suppress(DataError):
        foreign, most = _foreign(path)
        return _shapes(foreign) if foreign and most else None
    return None


def encoding_for(path: Path, remembered: str | None) -> str | None:
    """``remembered`` if ``path`` is a text file that is not UTF-8 and all of it can be read so, otherwise ``None``."""
    if remembered is None or suggested(path) is None:
        return None
    with suppress(DataError), open_read(path, remembered) as stream:
        if all(is_utf8(line) for line in lines(stream) if isinstance(line, str)):
            return remembered
    return None


def _foreign(path: Path) -> tuple[str | None, bool]:
    """The first line of ``path`` that is not UTF-8, if any, and whether most lines beyond ASCII are not.

    Raises:
        DataError: it is not a text file.
    """
    foreign, balance = None, 0
    with open_read(path) as stream:
        if not stream.encoding.startswith("utf-8"):
            return None, False
        for line in lines(stream):
            if not isinstance(line, str) or line.isascii():
                continue
            known = is_utf8(line)
            balance += 1 if known else -1
            foreign = foreign or (None if known else line)
    return foreign, balance < 0


class _Closing(io.RawIOBase):
    """A stream that also closes the file under it, which ``GzipFile`` leaves open."""

    def __init__(self, stream: Any, under: Any) -> None:
        self._stream, self._under = stream, under

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._stream.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._stream.close()
        self._under.close()
        super().close()
