"""JSON Lines: one object per line, labels as a string or a list of strings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from . import EMPTY, BadRow, Layout, Row, RowWriter, Understood
from .encoded import NOT_UTF8, is_utf8, open_read, open_write
from .json_array import JSON, as_json, is_array, named, row_of
from .lines import TOO_LONG, Overlong, lines

_LOOK = 100  # lines from which the names of the columns are taken


@dataclass(frozen=True, slots=True)
class JsonLines:
    """One JSON object per line. Blank lines are skipped, except when only texts are read."""

    suffixes: tuple[str, ...] = (".jsonl", ".ndjson")
    own_columns: ClassVar[bool] = True
    """Rows may have other columns than those before them."""

    def understand(self, path: Path, layout: Layout) -> Understood:
        """How :meth:`read` reads ``path``: its columns are the names in its first objects.

        Raises:
            DataError: it is doubtful which column is meant.
        """
        if is_array(path, layout.encoding):
            return JSON.understand(path, layout)
        with open_read(path, layout.encoding) as stream:
            rows = (_parsed(line) for line in islice(lines(stream), _LOOK) if isinstance(line, str) and line.strip())
            return named(layout, [row for row in rows if isinstance(row, dict)])

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``; see :class:`~purport.data.formats.Format`. One JSON array is read too."""
        if is_array(path, layout.encoding):
            yield from JSON.read(path, layout)
            return
        layout = self.understand(path, layout).layout
        with open_read(path, layout.encoding) as stream:
            for number, line in enumerate(lines(stream), start=1):
                if isinstance(line, Overlong):
                    yield BadRow(number, TOO_LONG)
                elif line.strip():
                    yield self._row(number, line, layout)
                elif layout.label_column is None:  # when only texts are read, a blank line is an (empty) row
                    yield BadRow(number, EMPTY, empty=True)

    def _row(self, number: int, line: str, layout: Layout) -> Row | BadRow:
        values = _parsed(line) if is_utf8(line) else NOT_UTF8
        found = row_of(number, values, layout)
        if isinstance(found, BadRow) and layout.keep_columns:
            return replace(found, raw=line.rstrip("\r\n"))
        return found

    @contextmanager
    def write(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        label_delimiter: str = "+",
        like: tuple[Path, Layout] | None = None,
    ) -> Iterator[RowWriter]:
        """Open ``path`` for rows with these columns; values that are ``None`` are omitted.

        With ``like``, each row has the columns that it comes with, in their order.
        """
        with open_write(path) as stream:

            def write(row: Mapping[str, Any] | str) -> None:
                stream.write(as_json(row, columns, own=like is not None) + "\n")

            yield write


def _parsed(line: str) -> Any:
    """The value in ``line``, or a message."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"is not valid JSON ({error})"


JSONL = JsonLines()
