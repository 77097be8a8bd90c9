"""File formats, one per module. Rows are read one at a time, so that a file does not have to fit into memory.

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
        label_column: name of the column with the labels; ``None`` if only texts are read.
        header: whether the first row of a TSV or CSV file is a header. ``None``: it is if it contains
            ``text_column``. Without a header, the columns are text and label.
        label_delimiter: separator between the labels of one utterance. JSONL and Parquet may have lists instead.
    """

    text_column: str = DEFAULT_TEXT_COLUMN
    label_column: str | None = "label"
    header: bool | None = None
    label_delimiter: str = "+"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read: the text column and, unless it is ``None``, the label column."""
        return (self.text_column,) if self.label_column is None else (self.text_column, self.label_column)

    def missing(self, present: Sequence[str]) -> str | None:
        """A message about the first column that is not ``present``, or ``None``."""
        absent = next((name for name in self.columns if name not in present), None)
        return None if absent is None else f'no column "{absent}"; the columns are {", ".join(map(str, present))}'


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in the file (from 1; the line number in text formats), and its values."""

    number: int
    text: Any
    label: Any = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    number: int
    problem: str


RowWriter = Callable[[Mapping[str, Any]], None]  # takes a row: column name to value


class Format(Protocol):
    """Reads and writes one kind of file."""

    suffixes: tuple[str, ...]

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``, in order. A bad row is yielded as ``BadRow``, and reading continues if possible."""
        ...

    def write(
        self, path: Path, columns: Sequence[str], *, label_delimiter: str = "+"
    ) -> AbstractContextManager[RowWriter]:
        """Open ``path`` for rows with these columns; formats without lists join them with ``label_delimiter``."""
        ...


def format_of(path: Path) -> Format:
    """The format for the suffix of ``path``, which may be followed by ``.gz``.

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
    raise FormatUnknown(
        f"{path}: unknown file format; the name must end in one of {', '.join(known)}, optionally followed by .gz"
    )


def read_rows(path: Path, layout: Layout) -> Iterator[Row | BadRow]:
    """The rows of ``path``, in the format given by its suffix.

    Raises:
        FormatUnknown: no registered format has that suffix.
        DataError: the file cannot be read: it is truncated, has another format, or permission is denied.
    """
    rows = format_of(path).read(path, layout)
    try:
        yield from rows
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {path} ({error or type(error).__name__}); check the file or copy it again"
        ) from None
