"""Reads the file that somebody gave a page into a sheet, within bounds of rows and size."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..data.formats import BadRow, Format, Layout, Row, format_beside, read_rows, unique_names
from ..data.formats.columns import DEFAULT_TEXT_COLUMN
from ..data.formats.content import REMEDIES, magic
from ..data.hints import Hints
from ..errors import DataError, FormatUnknown
from ..predict_file import usable
from .encodings import encoding_of
from .sheets import Sheet

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json")
TABLE = Path("answers.csv")
"""The file of the answers."""
MOST_ROWS = 20_000
"""Rows that a file may have."""
MOST_LABELS = 2_000
"""Different labels that a file may have."""
_MOST_COLUMNS, _LONGEST_HEAD, _READ_S = 500, 1 << 20, 120.0
_SAID = {"gzip": "compressed with gzip", "zip": "a zip archive or an Excel workbook", "parquet": "a Parquet file"}


def suffix_of(name: str) -> str:
    """The suffix of a file that can be read.

    Raises:
        FormatUnknown: no page reads such files.
    """
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES:
        return suffix
    remedy = REMEDIES.get(suffix, "save it as CSV")
    raise FormatUnknown(f"{name}: unknown file format; {remedy}. The name must end in {', '.join(SUFFIXES)}")


def require_plain(path: Path, name: str) -> None:
    """Check that the file at ``path`` is what pages read: text that is not packed, with a reasonable first line.

    Raises:
        DataError: it is compressed, another format whatever its name says, or has too many columns.
    """
    if found := magic(path):
        raise DataError(f"{name} is no text file but {_SAID.get(found, found)}; save it as CSV")
    with path.open("rb") as stream:
        head = stream.readline(_LONGEST_HEAD)
    if max(map(head.count, (b",", b";", b"\t"))) >= _MOST_COLUMNS and path.suffix not in (".json", ".jsonl", ".ndjson"):
        raise DataError(f"{name} has more than {_MOST_COLUMNS:,} columns; keep those with texts and labels")


@dataclass
class Bounds:
    """Counts what is read of a file ``name``, so that reading ends where it is too much, or where time is over.

    ``most`` is the number of characters; ``until`` is a time of ``time.monotonic``; ``instead`` is what else can read a
    file that is too large.
    """

    name: str
    most: int
    until: float
    instead: str = ""
    rows: int = 0
    size: int = 0
    labels: set[str] = field(default_factory=set)

    def count(self, text: str, labels: Iterable[str] = ()) -> None:
        """Count one row.

        Raises:
            DataError: it is one too many.
        """
        self.rows += 1
        self.size += len(text)
        self.labels.update(labels)
        if self.rows > MOST_ROWS:
            raise TooMuch(f"{self.name} has more than {MOST_ROWS:,} rows; split it{self.instead}")
        if self.size > self.most:
            raise TooMuch(f"{self.name} is too large; split it{self.instead}")
        if len(self.labels) > MOST_LABELS:
            raise TooMuch(f"{self.name} has more than {MOST_LABELS:,} labels; is it the right column?")
        if time.monotonic() > self.until:
            raise TooMuch(f"{self.name} takes too long to read; split it")


class TooMuch(DataError):
    """A file is more than a page reads."""


class TableRead(NamedTuple):
    """A file that was read: its columns, the number of rows that can be answered, and how to write a table like it."""

    columns: tuple[str, ...]
    rows: int
    table: Format


def read_into(path: Path, name: str, layout: Layout, hints: Hints, sheet: Sheet, most: int) -> TableRead:
    """Move the rows of the file at ``path`` into ``sheet``.

    What ``layout`` leaves open is decided by the file and by ``hints``. The file is deleted, except to be read again.

    Raises:
        EncodingUnclear: the person must say in which encoding it is.
        DataError: it cannot be read, has too many rows or characters (more than ``most``), or none with a text.
    """
    tally = _Tally(Bounds(name, most, time.monotonic() + _READ_S, ", or use purport predict"))
    try:
        require_plain(path, name)
        layout = replace(layout, encoding=encoding_of(path, name, hints, layout.encoding))
        named = {"text_column"} if layout.text_column != DEFAULT_TEXT_COLUMN else set()
        found = hints.understand(path, layout, named)
        layout, columns = found.layout, unique_names(found.columns or layout.columns)
        sheet.add(tally.rows(read_rows(path, layout)))
        table = format_beside(TABLE, path, layout)
    except DataError as error:
        path.unlink(missing_ok=True)
        raise type(error)(str(error).replace(str(path), name)) from None
    path.unlink(missing_ok=True)
    if not tally.usable:
        raise DataError(f"{name} has no row with a text{tally.first}; choose a table with a column of texts")
    return TableRead(tuple(columns), tally.usable, table)


class _Tally:
    """Counts rows while they are read."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.usable, self.first = 0, ""

    def rows(self, found: Iterator[Row | BadRow]) -> Iterator[tuple[str | None, Mapping[str, Any], str | None]]:
        """The rows for a sheet.

        Raises:
            DataError: they are too many, or too long together.
        """
        for row in map(usable, found):
            self._bounds.count("".join(map(str, row.cells.values())))
            if isinstance(row, BadRow):
                self.first = self.first or f" (row {row.number}: {row.problem})"
                yield None, row.cells, f"Row {row.number} {row.problem}"
                continue
            self.usable += 1
            yield row.text, row.cells, None
