"""Tables of cells: CSV (RFC 4180 quoting), and TSV (no quoting, as published datasets write it, where that fits)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from . import EMPTY, BadRow, Layout, Row, RowWriter, Understood, is_blank, unique_names
from .content import is_packed
from .dialect import NAMES, cells, find_delimiter, find_header, only_quoted, roles, separated_by
from .encoded import NOT_UTF8, habits, is_utf8, open_read, open_write, require_readable
from .lines import TOO_LONG, Overlong, lines, quoted_rows
from .spreadsheet import Number, escape, is_ours, unescape

_BREAK = re.compile(r"[\t\r\n]+")
_HINT = re.compile(r"sep=(.)")  # the first line of a file, for a spreadsheet
_BLANK = " \t\r\n,;|"  # what a row without content may have
_LOOK = 1000  # lines from which it is found out how a file is written
# A row number with its cells, or with the reason why they cannot be read.
_Cells = Iterator[tuple[int, list[str] | str]]


@dataclass(frozen=True, slots=True)
class Delimited:
    """Rows of cells separated by ``delimiter``; ``quoting`` says whether quotes have a meaning.

    Without it, they have one where rows have the same number of columns only so: spreadsheets export cells with line
    breaks in this way. A file that certainly has another delimiter is read with that one, and with quoting. Blank lines
    are skipped, except when only texts are read.
    """

    suffixes: tuple[str, ...]
    delimiter: str
    quoting: bool
    encoding: str = "utf-8"  # of a file that is written

    def beside(self, path: Path, layout: Layout) -> Delimited:
        """This format, to write a table for the program that opens ``path``, which is of this format too.

        With quoting, it has the same delimiter, if it is one that is found without being told. It starts with a byte
        order mark if ``path`` does or is not UTF-8.

        Raises:
            DataError: see :meth:`understand`.
        """
        found = self._look(path, layout)[1].layout.delimiter
        delimiter = found if self.quoting and found in NAMES else self.delimiter
        plain = habits(path, layout.encoding)[0] == "utf-8"
        return replace(self, delimiter=delimiter, encoding="utf-8" if plain else "utf-8-sig")

    def understand(self, path: Path, layout: Layout) -> Understood:
        """How :meth:`read` reads ``path``; a file without rows has no columns.

        Raises:
            DataError: it is doubtful how; the message names the option that settles it.
        """
        return self._look(path, layout)[1]

    def _look(self, path: Path, layout: Layout) -> tuple[Delimited, Understood]:
        """The format of ``path``, this one or the same with quoting, and how it reads it."""
        with open_read(path, layout.encoding) as stream:
            looked_at = list(islice(lines(stream), _LOOK))
            head, whole = [line for line in looked_at if isinstance(line, str)], len(looked_at) < _LOOK
            encoding = stream.encoding
        require_readable(head, layout.encoding)
        separator = _hint(head[0]) if head else None
        if separator and layout.delimiter is None:
            layout = replace(layout, delimiter=separator[1])
        head = [line for line in head[1 if separator else 0 :] if line.strip(_BLANK)]
        delimiter = find_delimiter(head, layout, self.delimiter, tables=self.quoting)
        layout = replace(layout, delimiter=delimiter, encoding=encoding)
        if not head:
            return self, Understood(layout)
        quotes = self._quotes(delimiter) or only_quoted(head, delimiter, whole=whole)
        parsed = cells(head, delimiter, quoting=quotes)
        first = parsed[0]
        layout = replace(layout, header=find_header(first, parsed[1:], layout))
        columns = tuple(cell.strip() for cell in first) if layout.header else layout.columns
        if layout.keep_columns and not layout.header:
            columns += tuple(f"column {number}" for number in range(len(columns) + 1, len(first) + 1))
        notes = self._notes(path, layout, encoding)
        if quotes and not self._quotes(delimiter):
            notes = (*notes, "cells in quotes")
        found = Understood(roles(first, layout) if layout.header else layout, columns, notes)
        return replace(self, quoting=quotes), found

    def _notes(self, path: Path, layout: Layout, encoding: str) -> tuple[str, ...]:
        delimiter = layout.delimiter or self.delimiter
        packed = is_packed(path) and path.suffix.lower() != ".gz"
        found = {
            "compressed with gzip": packed,
            f"columns separated by {separated_by(delimiter)}": delimiter != self.delimiter,
            encoding.upper(): not encoding.startswith("utf-8"),
        }
        return tuple(note for note, unexpected in found.items() if unexpected)

    def _quotes(self, delimiter: str) -> bool:
        return self.quoting or delimiter != self.delimiter

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``; see :class:`~purport.data.formats.Format`.

        Raises:
            DataError: see :meth:`understand`.
        """
        way, found = self._look(path, layout)
        layout, delimiter = found.layout, found.layout.delimiter or self.delimiter
        with open_read(path, layout.encoding) as stream:
            rows = way._cells(stream, delimiter)
            wanted = len(layout.columns)
            places = [found.columns.index(name) for name in layout.columns] if layout.header else list(range(wanted))
            width: int | None = len(found.columns) if layout.header or wanted > 1 else None
            names = unique_names(found.columns) if layout.keep_columns else []
            skip, ours = bool(layout.header), is_ours(found.columns)
            for number, row in rows:
                if number == 1 and isinstance(row, list) and _hint(delimiter.join(row)):
                    continue
                if row == [""] and (wanted > 1 or skip):
                    continue  # when only texts are read, a blank line after the header is an (empty) row
                if skip:
                    skip = isinstance(row, list) and all(map(is_blank, row))
                    continue
                width = width or len(row)
                if ours and isinstance(row, list):
                    row = list(map(unescape, row))
                yield way._row(number, row, places, width, names, delimiter)

    def _cells(self, stream: IO[str], delimiter: str) -> _Cells:
        if self._quotes(delimiter):
            return quoted_rows(stream, delimiter)
        numbered = enumerate(lines(stream), start=1)
        return (
            (number, TOO_LONG if isinstance(line, Overlong) else line.rstrip("\r\n").split(delimiter))
            for number, line in numbered
        )

    def _row(
        self, number: int, row: list[str] | str, places: list[int], width: int, names: list[str], delimiter: str
    ) -> Row | BadRow:
        if isinstance(row, str):
            return BadRow(number, row)
        problem = NOT_UTF8 if not is_utf8("".join(row)) else None
        if len(row) != width:
            problem = _wrong_width(row, width, delimiter)
        empty = all(map(is_blank, row))
        if empty and (len(row) != width or row == [""]):
            problem = EMPTY
        if problem:
            return BadRow(number, problem, raw=self._line(row, delimiter) if names else None, empty=empty)
        held = dict(zip(names, row, strict=True)) if names else {}
        return Row(number, *(row[place] for place in places), cells=held)

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
        way, found = (self, Understood(Layout())) if like is None else self._look(*like)
        layout = found.layout
        delimiter = layout.delimiter or self.delimiter
        ours = like is None and is_ours(columns)
        encoding, end = (self.encoding, "\n") if like is None else habits(like[0], like[1].encoding)
        with open_write(path, encoding) as stream:

            def write(row: Mapping[str, Any] | str) -> None:
                if not isinstance(row, str):
                    values = [row.get(name) for name in columns]
                    cells = [way._one_line(_cell(value, label_delimiter), delimiter) for value in values]
                    if ours:  # a negative number is no formula
                        numbers = [isinstance(value, int | float | Number) for value in values]
                        cells = [cell if n else escape(cell) for cell, n in zip(cells, numbers, strict=True)]
                    row = way._line(cells, delimiter)
                stream.write(row + end)

            if like is None:
                write(way._line(columns, delimiter))
            elif layout.header:
                write(way._line(way._header(like[0], layout.encoding, delimiter), delimiter))
            yield write

    def _header(self, path: Path, encoding: str | None, delimiter: str) -> Sequence[str]:
        """The header of a file as it stands there."""
        with open_read(path, encoding) as stream:
            rows = (
                row for _, row in self._cells(stream, delimiter) if isinstance(row, list) and any(map(str.strip, row))
            )
            return next((row for row in rows if not _hint(delimiter.join(row))), [])

    def _one_line(self, cell: str, delimiter: str) -> str:
        # Without quoting, a tab or line break in a value would start another column or row.
        return cell if self._quotes(delimiter) else _BREAK.sub(" ", cell)

    def _line(self, row: Sequence[str], delimiter: str) -> str:
        if not self._quotes(delimiter):
            return delimiter.join(self._one_line(cell, delimiter) for cell in row)
        line = io.StringIO()
        # Cells with a character of the line end are quoted, so that it must have both.
        csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(row)
        return line.getvalue().removesuffix("\r\n")


def _hint(line: str) -> re.Match[str] | None:
    return _HINT.fullmatch(line.strip(" \r\n"))  # not a tab, which may be what it names


def _wrong_width(row: Sequence[str], width: int, delimiter: str) -> str:
    columns = f"{len(row)} column{'s' * (len(row) != 1)} instead of {width}"
    here = f"has {columns}; columns are separated by {separated_by(delimiter)}"
    other = next((each for each in NAMES if each in row[0]), None) if len(row) == 1 else None
    if other:
        return f"{here}: if {separated_by(other)} separate them, pass --delimiter {other!r} (delimiter in a recipe)"
    if delimiter == "\t":
        quoted = any('"' in cell for cell in row)
        return f"{here}; if quotes enclose cells with line breaks, rename the file to .csv" if quoted else here
    return f"{here}: quote a cell that contains one" if len(row) > width else here


def _cell(value: Any, label_delimiter: str) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return label_delimiter.join(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else str(value)


TSV = Delimited(suffixes=(".tsv", ".tab"), delimiter="\t", quoting=False)
CSV = Delimited(suffixes=(".csv",), delimiter=",", quoting=True)


@dataclass(frozen=True, slots=True)
class Lines(Delimited):
    """A plain text file: a text per line, or a table with tabs. In a directory it is a note or a licence, no split."""

    def recognises(self, path: Path) -> bool:
        """Whether a file in a directory is a split."""
        return False


TXT = Lines(suffixes=(".txt",), delimiter="\t", quoting=False)
