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

_SEPARATORS = {"\t": "tabs", ",": "commas"}
# A row number with its cells, or with the reason why they cannot be read.
_Cells = Iterator[tuple[int, list[str] | str]]


@dataclass(frozen=True, slots=True)
class Delimited:
    """Rows of cells separated by ``delimiter``; ``quoting`` says whether quotes have a meaning.

    Blank lines are skipped, except when only texts are read.
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
                yield BadRow(
                    number,
                    f"{problem}; set text_column (--text-column) or, without a header, header = false (--no-header)",
                )
                return
            places = [header.index(name) for name in layout.columns] if named else list(range(wanted))
            width = len(header) if named or wanted == 1 else wanted
            if not named:
                yield self._row(number, header, places, width)
            for number, row in cells:
                if row != [""] or wanted == 1:  # when only texts are read, a blank line is a (bad) row
                    yield self._row(number, row, places, width)

    def _row(self, number: int, row: list[str] | str, places: list[int], width: int) -> Row | BadRow:
        if isinstance(row, str):
            return BadRow(number, row)
        if row == [""] and len(places) == 1:
            return BadRow(number, "has no text")
        if len(row) != width:
            return BadRow(number, self._wrong_width(row, width))
        if not is_utf8("".join(row)):
            return BadRow(number, NOT_UTF8)
        return Row(number, *(row[place] for place in places))

    def _wrong_width(self, row: list[str], width: int) -> str:
        separator = _SEPARATORS.get(self.delimiter, repr(self.delimiter))
        wrong = ", not by semicolons" if len(row) == 1 and ";" in row[0] else ""
        return (
            f"has {len(row)} column{'s' * (len(row) != 1)} instead of {width}; "
            f"columns must be separated by {separator}{wrong}"
        )

    def _quoted(self, stream: IO[str]) -> _Cells:
        reader, number = csv.reader(stream, delimiter=self.delimiter, strict=True), 1
        try:
            for row in reader:
                yield number, row or [""]  # the csv module gives [] for a blank line
                number = reader.line_num + 1
        except csv.Error as error:  # a stray quote, or a field over the module's limit of 128 KiB
            yield number, f"cannot be read ({error}), nor can the rows after it; quote the cell as in RFC 4180"

    @contextmanager
    def write(self, path: Path, columns: Sequence[str], *, label_delimiter: str = "+") -> Iterator[RowWriter]:
        """Open ``path`` for rows with these columns; the first row is a header."""
        with open_write(path) as stream:
            quoted = csv.writer(stream, delimiter=self.delimiter, lineterminator="\n")

            def write(row: Mapping[str, Any]) -> None:
                values = ("" if row.get(name) is None else row[name] for name in columns)
                cells = [label_delimiter.join(value) if isinstance(value, list) else value for value in values]
                if self.quoting:
                    quoted.writerow(cells)
                else:  # a tab or line break in a value would start another column or row
                    stream.write(self.delimiter.join(" ".join(str(cell).split()) for cell in cells) + "\n")

            write({name: name for name in columns})
            yield write


TSV = Delimited(suffixes=(".tsv", ".tab"), delimiter="\t", quoting=False)
CSV = Delimited(suffixes=(".csv",), delimiter=",", quoting=True)
