"""TSV (no quoting, as published datasets write it) and CSV (RFC 4180 quoting)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from . import DEFAULT_TEXT_COLUMN, BadRow, Layout, Row, RowWriter
from .text import NOT_UTF8, is_utf8, open_read, open_write

# A row number, and its cells or why there are none.
_Cells = Iterator[tuple[int, list[str] | str]]


@dataclass(frozen=True, slots=True)
class Delimited:
    """Rows of cells between ``delimiter``; ``quoting`` decides whether quotes mean anything.

    Blank lines are passed over where labels are read.
    """

    suffixes: tuple[str, ...]
    delimiter: str
    quoting: bool

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``; see :class:`~purport.data.formats.Format`."""
        with open_read(path) as stream:
            plain = ((number, line.rstrip("\r\n").split(self.delimiter)) for number, line in enumerate(stream, start=1))
            cells: _Cells = self._quoted(stream) if self.quoting else plain
            first = next(cells, None)
            if first is None:
                return
            number, header = first
            if isinstance(header, str):
                yield BadRow(number, header)
                return
            named = layout.text_column in header if layout.header is None else layout.header
            problem, wanted = layout.missing(header), len(layout.columns)
            if problem and named:
                yield BadRow(number, problem)
                return
            unlikely = layout.text_column != DEFAULT_TEXT_COLUMN or len(header) > wanted
            if layout.header is None and not named and unlikely:
                yield BadRow(number, f"{problem}; or say that none are named")
                return
            places = [header.index(name) for name in layout.columns] if named else list(range(wanted))
            width = len(header) if named or wanted == 1 else wanted
            if not named:
                yield self._row(number, header, places, width)
            for number, row in cells:
                if row != [""] or wanted == 1:  # where only texts are read, a blank line keeps its place
                    yield self._row(number, row, places, width)

    def _row(self, number: int, row: list[str] | str, places: list[int], width: int) -> Row | BadRow:
        if isinstance(row, str):
            return BadRow(number, row)
        if row == [""] and len(places) == 1:
            return BadRow(number, "has no text")
        if len(row) != width:
            return BadRow(number, f"has {len(row)} column{'s' * (len(row) != 1)} instead of {width}")
        if not is_utf8("".join(row)):
            return BadRow(number, NOT_UTF8)
        return Row(number, *(row[place] for place in places))

    def _quoted(self, stream: IO[str]) -> _Cells:
        reader, number = csv.reader(stream, delimiter=self.delimiter, strict=True), 1
        try:
            for row in reader:
                yield number, row or [""]  # the csv module gives [] for a blank line
                number = reader.line_num + 1
        except csv.Error as error:  # a stray quote, or a field over the module's limit of 128 KiB
            yield number, f"cannot be read ({error}), nor can what follows; quote it as RFC 4180 says"

    @contextmanager
    def write(self, path: Path, columns: Sequence[str], *, label_delimiter: str = "+") -> Iterator[RowWriter]:
        """Open ``path`` for rows with these columns; a header comes first."""
        with open_write(path) as stream:
            quoted = csv.writer(stream, delimiter=self.delimiter, lineterminator="\n")

            def write(row: Mapping[str, Any]) -> None:
                values = ("" if row.get(name) is None else row[name] for name in columns)
                cells = [label_delimiter.join(value) if isinstance(value, list) else value for value in values]
                if self.quoting:
                    quoted.writerow(cells)
                else:  # a tab or line break inside a value would make another column or row
                    stream.write(self.delimiter.join(" ".join(str(cell).split()) for cell in cells) + "\n")

            write({name: name for name in columns})
            yield write


TSV = Delimited(suffixes=(".tsv", ".tab"), delimiter="\t", quoting=False)
CSV = Delimited(suffixes=(".csv",), delimiter=",", quoting=True)
