"""TSV (no quoting, as published datasets write it) and CSV (RFC 4180 quoting)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from . import DEFAULT_TEXT_COLUMN, BadRow, Layout, Row, RowWriter, unique_names
from .text import NOT_UTF8, is_utf8, open_read, open_write

_SEPARATORS = {"\t": "tabs", ",": "commas"}
_BREAK = re.compile(r"[\t\r\n]+")
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
            names = unique_names(header if named else layout.columns) if layout.keep_columns else []
            if not named:
                yield self._row(number, header, places, width, names)
            for number, row in cells:
                if row != [""] or wanted == 1:  # when only texts are read, a blank line is a (bad) row
                    yield self._row(number, row, places, width, names)

    def _row(self, number: int, row: list[str] | str, places: list[int], width: int, names: list[str]) -> Row | BadRow:
        if isinstance(row, str):
            return BadRow(number, row)
        problem = NOT_UTF8 if not is_utf8("".join(row)) else None
        if len(row) != width:
            problem = self._wrong_width(row, width)
        if row == [""] and len(places) == 1:
            problem = "has no text"
        if problem:
            return BadRow(number, problem, raw=self._line(row) if names else None)
        cells = dict(zip(names, row, strict=True)) if names else {}
        return Row(number, *(row[place] for place in places), cells=cells)

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
    def write(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        label_delimiter: str = "+",
        like: tuple[Path, Layout] | None = None,
    ) -> Iterator[RowWriter]:
        """Open ``path`` for rows with these columns; the first row is a header, unless ``like`` has none."""
        with open_write(path) as stream:

            def write(row: Mapping[str, Any] | str) -> None:
                if not isinstance(row, str):
                    row = self._line([_cell(row.get(name), label_delimiter) for name in columns])
                stream.write(row + "\n")

            header = list(columns) if like is None else self._header(*like)
            if header:
                write(self._line(header))
            yield write

    def _header(self, path: Path, layout: Layout) -> list[str]:
        """The header of a file; empty if it has none."""
        with open_read(path) as stream:
            lines = csv.reader(stream, delimiter=self.delimiter) if self.quoting else None
            first = next(lines, []) if lines else stream.readline().rstrip("\r\n").split(self.delimiter)
        named = layout.text_column in first if layout.header is None else layout.header
        return first if named else []

    def _line(self, cells: Sequence[str]) -> str:
        if not self.quoting:  # a tab or line break in a value would start another column or row
            return self.delimiter.join(_BREAK.sub(" ", cell) for cell in cells)
        line = io.StringIO()
        csv.writer(line, delimiter=self.delimiter, lineterminator="").writerow(cells)
        return line.getvalue()


def _cell(value: Any, label_delimiter: str) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return label_delimiter.join(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


TSV = Delimited(suffixes=(".tsv", ".tab"), delimiter="\t", quoting=False)
CSV = Delimited(suffixes=(".csv",), delimiter=",", quoting=True)
