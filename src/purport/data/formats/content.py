"""What the bytes of a file say about it, whatever its name says: compression, encoding, another format."""

from __future__ import annotations

import codecs
from pathlib import Path

from ...errors import DataError

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"PAR1": "parquet",
    b"PK\x03\x04": "zip",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "xls",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"ARROW1": "arrow",
    b"SQLite format 3": "sqlite",
    b"%PDF": "pdf",
}
_REMEDIES = {
    "zip": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV UTF-8",
    "xls": "an Excel workbook; save the sheet as CSV UTF-8",
    "bzip2": "compressed with bzip2; decompress it with bunzip2",
    "xz": "compressed with xz; decompress it with unxz",
    "zstd": "compressed with zstd; decompress it with unzstd",
    "arrow": "an Arrow file; save it as Parquet (datasets.Dataset.to_parquet)",
    "sqlite": "an SQLite database; export the table as CSV",
    "pdf": "a PDF; export the table as CSV",
}
_SHEET, _FRAME = "save the sheet as CSV UTF-8", "write it with to_parquet or to_csv"
REMEDIES = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods", ".numbers"), _SHEET),
    **dict.fromkeys((".pkl", ".pickle", ".feather", ".arrow", ".h5"), _FRAME),
    **dict.fromkeys((".zip", ".tar", ".7z", ".bz2", ".xz", ".zst"), "unpack it"),
    ".md": "write it as YAML (rasa data convert nlu)",
    ".xml": "save it as CSV",
    ".sqlite": "export the table as CSV",
}
"""What to do with files that have one of these suffixes."""
# UTF-32 first, because its byte order mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MANY = 0.3


def magic(path: Path) -> str | None:
    """What the first bytes of ``path`` say it is (``gzip``, ``parquet``, ``zip``, …), or ``None`` for text."""
    with path.open("rb") as stream:
        head = stream.read(32)
    return next((name for start, name in _MAGIC.items() if head.startswith(start)), None)


def is_packed(path: Path) -> bool:
    """Whether the text file ``path`` is compressed with gzip.

    Raises:
        DataError: it is no text file; the message says what its first bytes belong to and what to do.
    """
    found = magic(path)
    if found in _REMEDIES:
        raise DataError(f"{path} is {_REMEDIES[found]}, and name the new file")
    return found == "gzip"


def encoding_of(head: bytes) -> str:
    """The encoding of a file that begins with ``head``: what its byte order mark says, UTF-16 if every other byte is
    zero, otherwise UTF-8.

    Raises:
        DataError: it has zero bytes, but not as UTF-16 has them.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    even, odd = head[::2].count(0), head[1::2].count(0)
    if not even and not odd:
        return "utf-8"
    half = max(len(head) // 2, 1)
    if max(even, odd) >= _MANY * half and min(even, odd) < _MANY * half:
        return "utf-16-le" if odd > even else "utf-16-be"
    if even + odd >= _MANY * len(head):
        raise DataError("is not a text file; save it as CSV in UTF-8, or name its encoding with --encoding")
    return "utf-8"
