"""One file per format. Each yields the rows of a file one at a time, so that no file needs its size in memory.

A format is an object with ``suffixes``, ``read`` and ``write`` (see :class:`Format`), registered in the
entry-point group ``purport.formats``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ... import registry
from ...errors import DataError, FormatUnknown

DEFAULT_TEXT_COLUMN = "text"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is laid out.

    Attributes:
        text_column: name of the column with the utterance.
        label_column: name of the column with the labels; ``None`` where only texts are read.
        header: whether the first row of a TSV or CSV names the columns. ``None``: it does if it holds
            ``text_column``. Without a header the columns are text, label.
        label_delimiter: stands between the labels of one utterance. JSONL and Parquet may hold lists.
    """

    text_column: str = DEFAULT_TEXT_COLUMN
    label_column: str | None = "label"
    header: bool | None = None
    label_delimiter: str = "+"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read: texts and, where there are any, labels."""
        return (self.text_column,) if self.label_column is None else (self.text_column, self.label_column)

    def missing(self, present: Sequence[str]) -> str | None:
        """The problem text for the first column that is not ``present``."""
        absent = next((name for name in self.columns if name not in present), None)
        return None if absent is None else f'no column "{absent}"; the columns are {", ".join(map(str, present))}'


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in the file (from 1; the line, where there are lines), and its values."""

    number: int
    text: Any
    label: Any = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    number: int
    problem: str


RowWriter = Callable[[Mapping[str, Any]], None]  # of a row: column name to value


class Format(Protocol):
    """Reads and writes one kind of file."""

    suffixes: tuple[str, ...]

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path`` in order. A bad row is yielded as such, and reading goes on where it can."""
        ...

    def write(
        self, path: Path, columns: Sequence[str], *, label_delimiter: str = "+"
    ) -> AbstractContextManager[RowWriter]:
        """Open ``path`` for writing rows with these columns; lists are joined by ``label_delimiter`` where need be."""
        ...


def format_of(path: Path) -> Format:
    """The format that the suffix of ``path`` names; ``.gz`` may follow it.

    Raises:
        FormatUnknown: no registered format has that suffix.
    """
    plain = Path(path.stem) if path.suffix.lower() == ".gz" else path
    known: list[str] = []
    for name in registry.names("formats"):
        candidate: Format = registry.load("formats", name)
        if plain.suffix.lower() in candidate.suffixes:
            return candidate
        known += candidate.suffixes
    raise FormatUnknown(f"{path}: cannot tell the format from the name; end it in one of {', '.join(known)} (or .gz)")


def read_rows(path: Path, layout: Layout) -> Iterator[Row | BadRow]:
    """The rows of ``path`` by the format that its name says.

    Raises:
        FormatUnknown: no registered format has that suffix.
        DataError: the file as a whole cannot be read: cut off, not what its name says, no permission.
    """
    rows = format_of(path).read(path, layout)
    try:
        yield from rows
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error or type(error).__name__}); make a good copy of it") from None
