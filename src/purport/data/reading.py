"""How the rows of files become examples."""

from __future__ import annotations

from collections import Counter, UserString
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import did_you_mean
from ..labels import Task
from ..wording import count
from .formats import BadRow, Layout, Row
from .formats.encoded import NOT_UTF8, is_utf8

TAUGHT = -1
"""The row of an example that a bundle was taught (see :class:`Example`)."""


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance with its gold labels in alphabetical order; ``row`` is its row number in the file, from 1.

    An example without a file has the row 0, and one that a bundle was taught the row :data:`TAUGHT`.
    ``cells`` are all columns of that row (see :class:`~purport.data.formats.Row`), with ``layout.keep_columns`` only.
    ``weight``, from 0 to 1, is what the row counts in training.
    """

    text: str
    labels: tuple[str, ...]
    row: int = field(default=0, compare=False)
    cells: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    weight: float = field(default=1.0, compare=False)


@dataclass(slots=True)
class Tally:
    """What occurred while rows were read, and names for "no label applies" that occurred (``none``).

    ``skipped`` counts the rows without a label that were to be skipped, and ``empty`` those with neither a text nor a
    label, both by split and file. ``columns`` are those of the rows, where one of them has confidences.
    """

    skipped: dict[tuple[str, Path], int] = field(default_factory=dict)
    empty: dict[tuple[str, Path], int] = field(default_factory=dict)
    none: set[str] = field(default_factory=set)
    columns: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of files become examples.

    Attributes:
        task: ``multiclass`` requires exactly one label per row.
        layout: columns and delimiters of the files.
        joint: multiclass only: each combination of labels ("flight+airfare", in any order) becomes one label.
        unlabelled: rows without a label are an ``error``, ``out_of_scope``, or left out (``skip``).
        out_of_scope: names that stand for "no label applies"; they never become labels.
        label_names: the names of labels that are numbers in the file, from 0 on; ``numbers`` takes them as names.
        confidence: the column with the weight of each row (needs ``layout.keep_columns``); ``None`` if all weigh 1.
        joined_by: joint only: what joins labels to one; without it, ``layout.label_delimiter``.
        settle: decides for each file what this reading leaves open (see :mod:`.hints`).
        tally: what was found while reading.
        on_bad_row: called with (split, bad row), after which reading continues; without it, bad rows are an error.
    """

    task: Task = Task.MULTILABEL
    layout: Layout = field(default_factory=Layout)
    joint: bool = False
    unlabelled: str = "error"
    out_of_scope: tuple[str, ...] = ()
    label_names: tuple[str, ...] | Literal["numbers"] | None = None
    confidence: str | None = None
    joined_by: str | None = None
    settle: Callable[[Path, Reading], Reading] | None = field(default=None, compare=False)
    tally: Tally = field(default_factory=lambda: Tally(), compare=False)
    on_bad_row: Callable[[str, BadRow], None] | None = field(default=None, compare=False)

    def of(self, path: Path) -> Reading:
        """How the rows of the file ``path`` become examples: this reading with nothing left to ``settle``.

        Raises:
            DataError: it is doubtful; the message names the option that settles it.
        """
        return self if self.settle is None else replace(self.settle(path, self), settle=None)

    @property
    def left_out(self) -> Iterator[str]:
        """A sentence for each split of which rows were left out."""
        for what, found in (("row without a label", self.tally.skipped), ("empty row", self.tally.empty)):
            total: Counter[str] = Counter()
            for (name, _), number in found.items():
                total[name] += number
            for name, number in (+total).items():
                yield f"{count(number, what, what.replace('row', 'rows'))} of {name} left out"

    def unused_names(self, dataset: str, labels: Iterable[str]) -> Iterator[str]:
        """A message for each name in ``out_of_scope`` that no row had, once all rows of ``dataset`` are read."""
        for name in self.out_of_scope:
            if name not in self.tally.none:
                hint = did_you_mean(name, labels)
                yield f'out_of_scope has "{name}", which is not a label of any row of {dataset}.{hint}'

    def example(self, row: Row) -> Example | BadRow | None:
        """``row`` as an example, as a bad row with the reason, or ``None`` where it is to be left out."""
        if not isinstance(row.text, str):
            return BadRow(row.number, f"text is {_kind(row.text)}, not a string; add a text or delete the row")
        if problem := text_problem(row.text):
            return BadRow(row.number, f"{problem}; add a text or delete the row" if not row.text.strip() else problem)
        labels = self._labels(row.label)
        if isinstance(labels, str):
            return BadRow(row.number, labels)
        weight = 1.0 if self.confidence is None else self._weight(row.cells, self.confidence)
        if isinstance(weight, str):
            return BadRow(row.number, weight)
        return None if labels is None else Example(row.text, labels, row.number, row.cells or None, weight)

    def _weight(self, cells: Mapping[str, Any], column: str) -> float | str:
        """The number in ``column``, 1 if there is none; a message if it cannot be used."""
        self.tally.columns.update(dict.fromkeys(cells))
        value = cells.get(column)
        if value is None or value != value or (isinstance(value, str) and not value.strip()):
            return 1.0
        try:
            weight = float(value)
        except (TypeError, ValueError):
            weight = -1.0
        if isinstance(value, bool) or not 0 <= weight <= 1:
            return f"{column} is {value!r}; it must be a number from 0 to 1, or empty (which counts as 1)"
        return weight

    def _labels(self, value: Any) -> tuple[str, ...] | str | None:
        """The labels in a cell; a message if they cannot be used; ``None`` if the row is to be left out."""
        delimiter = self.layout.label_delimiter
        parts: Any = [] if value is None or value == "" or value != value else value  # NaN differs from itself
        if isinstance(parts, str):
            parts = parts.split(delimiter) if delimiter else [parts]
        parts = [self._name(part) for part in (parts if isinstance(parts, list) else [parts])]
        if wrong := next((part for part in parts if not isinstance(part, str)), None):
            return str(wrong)
        if any(not part for part in parts):
            hint = "" if not isinstance(value, str) else no_delimiter(delimiter, value)
            return f"label {value!r} has an empty part; remove it or add the missing label{hint}"
        if any(delimiter and delimiter in part for part in parts):
            return f"label {value!r} contains the delimiter {delimiter!r}; choose another label_delimiter"
        if not is_utf8("".join(parts)):
            return f"label {NOT_UTF8}"
        none = {part for part in parts if part in self.out_of_scope}
        self.tally.none |= none
        labels = tuple(sorted({*parts} - none))
        if not parts and self.unlabelled != "out_of_scope":
            return None if self.unlabelled == "skip" else _NO_LABEL
        if self.task is Task.MULTILABEL or len(labels) <= 1:
            return labels
        if self.joint:
            return ((self.joined_by or delimiter or "+").join(labels),)
        return (
            f"has {len(labels)} labels ({', '.join(labels)}), but the task is multiclass; "
            "use the task multilabel, or joint = true to make each combination a label"
        )

    def _name(self, part: Any) -> str | _Problem:
        """The name of one label, or why it has none."""
        number = part
        if isinstance(part, float) and part.is_integer():
            number = int(part)  # pandas writes whole numbers as floats if a cell of the column is empty
        if isinstance(part, str):
            number = int(part) if isinstance(self.label_names, tuple) and part.strip().isdecimal() else part.strip()
        if isinstance(number, bool) or not isinstance(number, (int, str)):
            return _Problem(f"label is {_kind(part)}, not a string or a list of strings")
        if isinstance(number, str) or self.label_names == "numbers":
            return str(number)
        if self.label_names is None:
            return _Problem(
                f"label is the number {number}; give the names with --label-names FILE (one per line, the first is 0; "
                "label_names in a recipe), or take the numbers as names with --label-names numbers"
            )
        if not 0 <= number < len(self.label_names):
            return _Problem(
                f"label is {number}, but there are {len(self.label_names)} label_names, counted from 0; add the others"
            )
        return self.label_names[number]


class _Problem(UserString):
    """A message in the place of a name."""


_NO_LABEL = (
    'label is empty; add one or, if no label applies, read the data with unlabelled = "out_of_scope", '
    'or with "skip" to leave such rows out (on the command line: --unlabelled out_of_scope)'
)


def no_delimiter(delimiter: str, label: str) -> str:
    """The hint that a label such as ``C++`` needs another delimiter."""
    return (
        f', or pass --label-delimiter "" if {label!r} is one label (label_delimiter in a recipe)' if delimiter else ""
    )


MOST_CHARACTERS = 1 << 17
"""Characters that the text of one row may have."""


def text_problem(text: str) -> str | None:
    """Why ``text`` cannot be used, or ``None``."""
    if not text.strip():
        return "text is empty"
    if len(text) > MOST_CHARACTERS:
        return (
            f"text has {len(text):,} characters, and at most {MOST_CHARACTERS:,} are read; shorten it or delete the row"
        )
    return None if is_utf8(text) else f"text {NOT_UTF8}"


def _kind(value: Any) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
