"""JSON Lines: one object per line, labels as a string or a list of strings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import BadRow, Layout, Row, RowWriter
from .text import NOT_UTF8, is_utf8, open_read, open_write


@dataclass(frozen=True, slots=True)
class JsonLines:
    """One JSON object per line. Blank lines are skipped, except when only texts are read."""

    suffixes: tuple[str, ...] = (".jsonl", ".ndjson")

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``; see :class:`~purport.data.formats.Format`."""
        with open_read(path) as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield self._row(number, line, layout)
                elif layout.label_column is None:  # when only texts are read, a blank line is a (bad) row
                    yield BadRow(number, "has no text")

    def _row(self, number: int, line: str, layout: Layout) -> Row | BadRow:
        raw = line.rstrip("\r\n") if layout.keep_columns else None
        if not is_utf8(line):
            return BadRow(number, NOT_UTF8, raw=raw)
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            return BadRow(number, f"is not valid JSON ({error})", raw=raw)
        if not isinstance(values, dict):
            return BadRow(number, 'is not a JSON object; write {"text": ..., "label": ...}', raw=raw)
        if problem := layout.missing(list(values)):
            return BadRow(number, problem, raw=raw)
        return Row(number, *(values[name] for name in layout.columns), cells=values if layout.keep_columns else {})

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
                if not isinstance(row, str):
                    kept = row if like else {name: row[name] for name in columns if row.get(name) is not None}
                    row = json.dumps(kept, ensure_ascii=False, default=str)
                stream.write(row + "\n")

            yield write


JSONL = JsonLines()
