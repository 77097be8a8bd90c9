"""File formats, one per module. Rows are read one at a time, so that a file does not have to fit into memory.

A format is an object with ``suffixes``, ``read`` and ``write`` (see :class:`Format`), registered in the
entry-point group ``purport.formats``.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ... import registry
from ...errors import DataError, FormatUnknown
from .columns import DEFAULT_LABEL_COLUMN, DEFAULT_TEXT_COLUMN, find_column, no_column
from .content import REMEDIES, magic


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is laid out.

    Attributes:
        text_column: name of the column with the utterance. The default also stands for names that are well known, in
            any case: ``Text``, ``utterance``, ``Frage``, …
        label_column: name of the column with the labels, likewise; ``None`` if only texts are read.
        header: whether the first row of a TSV or CSV file is a header. ``None``: it is if it has the name of the text
            column. Without a header, the columns are text and label.
        label_delimiter: separator between the labels of one utterance. JSONL and Parquet may have lists instead.
        delimiter: character between the columns of a TSV or CSV file. ``None``: that of the suffix, or another one if
            the file certainly has it.
        encoding: of text files. ``None``: UTF-8, or what a byte order mark says.
        keep_columns: whether rows carry all their columns (``Row.cells``, ``BadRow.raw``), to write them again.
    """

    text_column: str = DEFAULT_TEXT_COLUMN
    label_column: str | None = DEFAULT_LABEL_COLUMN
    header: bool | None = None
    label_delimiter: str = "+"
    delimiter: str | None = None
    encoding: str | None = None
    keep_columns: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read: the text column and, unless it is ``None``, the label column."""
        return (self.text_column,) if self.label_column is None else (self.text_column, self.label_column)

    def missing(self, present: Sequence[str]) -> str | None:
        """A message about the first column that is not ``present``, or ``None``."""
        absent = next((at for at, name in enumerate(self.columns) if name not in present), None)
        return None if absent is None else no_column(self.columns[absent], present, role=("text", "label")[absent])

    def among(self, present: Sequence[str]) -> Layout:
        """This layout with the names of its columns as they are in ``present``, where they are found.

        Raises:
            DataError: several columns could be meant.
        """
        text = find_column(self.text_column, present, role="text")
        label = None if self.label_column is None else find_column(self.label_column, present, role="label")
        return replace(self, text_column=text or self.text_column, label_column=label or self.label_column)


@dataclass(frozen=True, slots=True)
class Understood:
    """How a file is read: a ``layout`` without anything left open, all its ``columns``, and ``notes`` for people."""

    layout: Layout
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in the file (from 1; the line number in text formats), and its values.

    ``cells`` are all columns in file order, text and label too, by unique name; empty unless ``layout.keep_columns``.
    """

    number: int
    text: Any
    label: Any = None
    cells: Mapping[str, Any] = field(default_factory=dict, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why.

    ``cells`` are its columns, as in :class:`Row`. If there are none, ``raw`` is the row as it stands in the file,
    without its line end; ``None`` if it cannot be copied either. Both only with ``layout.keep_columns``.
    ``empty``: nothing is in it, such as a blank line, or ``;;;`` from a spreadsheet.
    """

    number: int
    problem: str
    cells: Mapping[str, Any] = field(default_factory=dict, compare=False, kw_only=True)
    raw: str | None = field(default=None, compare=False, kw_only=True)
    empty: bool = field(default=False, kw_only=True)


EMPTY = "is empty"
"""The problem of a row in which nothing is."""


def is_blank(value: Any) -> bool:
    """Whether nothing is in a cell: no value, white space, NaN, or an empty list."""
    return value is None or value == [] or value != value or (isinstance(value, str) and not value.strip())


RowWriter = Callable[[Mapping[str, Any] | str], None]
"""Takes a row: column name to value, or, where a line is a row, the row as it stands in a file of this format."""


def unique_names(header: Sequence[str]) -> list[str]:
    """``header`` with a number after each name that occurred before: ``a, a`` becomes ``a, a (2)``."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for name in header:
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


class Format(Protocol):
    """Reads and writes one kind of file.

    A format may also have ``understand(path, layout) -> Understood``, which says how a file will be read, and
    ``beside(path, layout) -> Format``, which writes a table as that file is written.
    """

    suffixes: tuple[str, ...]

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``, in order. A bad row is yielded as ``BadRow``, and reading continues if possible."""
        ...

    def write(
        self, path: Path, columns: Sequence[str], *, label_delimiter: str = "+", like: tuple[Path, Layout] | None = None
    ) -> AbstractContextManager[RowWriter]:
        """Open ``path`` for rows with these columns; formats without lists join them with ``label_delimiter``.

        ``like`` is a file of this format, and how it is read: its header (or that it has none), dialect and column
        types are kept. ``columns`` are then the unique names of its cells.

        Raises:
            DataError: the format cannot be written.
        """
        ...


def format_of(path: Path) -> Format:
    """The format for the suffix of ``path``, which may be followed by ``.gz``.

    Raises:
        FormatUnknown: no registered format has that suffix.
    """
    plain = Path(path.stem) if path.suffix.lower() == ".gz" else path
    known: list[str] = []
    candidate: Format
    for _, candidate in registry.load_all("formats"):
        if plain.suffix.lower() in candidate.suffixes:
            return candidate
        known += candidate.suffixes
    remedy = REMEDIES.get(plain.suffix.lower(), "rename it, or save it in one of these formats")
    raise FormatUnknown(
        f"{path}: unknown file format; {remedy}. The name must end in one of {', '.join(known)}, "
        "optionally followed by .gz"
    )


def format_beside(target: Path, source: Path, layout: Layout) -> Format:
    """The format for ``target``; if that of ``source`` is the same, it is written as a table beside that one.

    Raises:
        FormatUnknown: no registered format has the suffix of one.
        DataError: it is doubtful how ``source`` is read, see :func:`understand`.
    """
    found = format_of(target)
    beside: Callable[[Path, Layout], Format] | None = getattr(found, "beside", None)
    return beside(source, layout) if beside and found == _format_to_read(source) else found


def _format_to_read(path: Path) -> Format:
    """The format of the content of ``path``: that of its suffix, unless its first bytes say that it is Parquet."""
    of_suffix = format_of(path)
    return registry.load("formats", "parquet") if magic(path) == "parquet" else of_suffix


def understand(path: Path, layout: Layout) -> Understood:
    """How :func:`read_rows` will read ``path``.

    Raises:
        FormatUnknown: no registered format has that suffix.
        DataError: the file cannot be read, or it is doubtful how; the message names the option that settles it.
    """
    format_ = _format_to_read(path)
    with _reported(path):
        explain = getattr(format_, "understand", None)
        found: Understood = explain(path, layout) if explain else Understood(layout)
    return found


def read_rows(path: Path, layout: Layout) -> Iterator[Row | BadRow]:
    """The rows of ``path``, in the format given by its suffix.

    Raises:
        FormatUnknown: no registered format has that suffix.
        DataError: the file cannot be read: it is truncated, has another format, or permission is denied.
    """
    rows = _format_to_read(path).read(path, layout)
    with _reported(path):
        yield from rows


class _reported:  # noqa: N801  (a context manager; contextlib's would turn a closed generator into a RuntimeError)
    """Errors of libraries as ``DataError`` with the name of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, (OSError, EOFError, zlib.error, UnicodeError)):
            raise DataError(
                f"cannot read {self._path} ({error or type(error).__name__}); check the file or copy it again"
            ) from None
        if isinstance(error, DataError) and str(self._path) not in str(error):
            raise type(error)(f"{self._path}: {error}") from None
