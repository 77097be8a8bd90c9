"""The data that a fix plan is applied to: rows with all their columns, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..data.catalog import load
from ..data.dataset import Dataset, Split
from ..data.formats import BadRow, Layout, understand
from ..data.reading import Example, Reading
from ..progress import SILENT, Reporter


@dataclass(frozen=True)
class Source:
    """A dataset whose examples carry all columns of their rows; ``bad`` has the unusable rows met while it is read."""

    dataset: Dataset
    bad: list[BadRow] = field(default_factory=list)
    _layouts: dict[str, Layout] = field(default_factory=dict)
    _joiners: dict[str, str] = field(default_factory=dict)
    _numbers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, ref: str, reading: Reading, reporter: Reporter = SILENT) -> Source:
        """The source for dataset ``ref``."""
        bad: list[BadRow] = []
        layout = replace(reading.layout, keep_columns=True)
        reading = replace(reading, layout=layout, on_bad_row=lambda _, row: bad.append(row))
        return cls(load(ref, reading, reporter), bad)

    def has(self, text: str) -> bool:
        """Whether ``text`` is the text of a row."""
        return text in self._texts

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(text for split in self.dataset.splits.values() for text in split.texts)

    def layout(self, split: Split) -> Layout:
        """How the files of ``split`` are laid out, with the names of their columns."""
        if split.reading is None:
            return Layout()
        if split.name not in self._layouts:
            self._layouts[split.name] = understand(split.files[0], split.reading.layout).layout
        return self._layouts[split.name]

    def number(self, split: Split, label: str, column: str) -> Any:
        """What stands for ``label`` in the column of labels where these are numbers; ``None`` if it has no number."""
        if split.name not in self._numbers:
            given = split.reading.label_names if split.reading else None
            numbers: dict[str, Any] = (
                {} if given in (None, "numbers") else {name: n for n, name in enumerate(given or ())}
            )
            for example in self._examples(split):
                cell = (example.cells or {}).get(column)
                cell = cell[0] if isinstance(cell, list) and len(cell) == 1 else cell
                if len(example.labels) == 1 and isinstance(cell, int | float):
                    numbers[example.labels[0]] = cell
            self._numbers[split.name] = numbers
        return self._numbers[split.name].get(label)

    def none(self, split: Split) -> str | None:
        """What says in the column of labels that none applies: the first such name that occurs, or the first of all."""
        if split.reading is None or not split.reading.out_of_scope:
            return None
        names, found = split.reading.out_of_scope, split.reading.tally.none
        return next((name for name in names if name in found), names[0])

    def joiner(self, split: Split) -> str:
        """What stands between the labels of a row: the delimiter, with a blank where most rows have it so."""
        if split.name not in self._joiners:
            layout = self.layout(split)
            sign, column = layout.label_delimiter, layout.label_column or "label"
            cells = [(example.cells or {}).get(column) for example in self._examples(split)]
            joined = [cell.strip() for cell in cells if isinstance(cell, str) and sign and sign in cell.strip()]
            wide = sum(f"{sign} " in cell for cell in joined)
            self._joiners[split.name] = f"{sign} " if wide * 2 > len(joined) else sign
        return self._joiners[split.name]

    def _examples(self, split: Split) -> list[Example]:
        """The examples of ``split``, while its rows may be read elsewhere: bad rows stay those that were met there."""
        met, examples = [*self.bad], list(split)
        self.bad[:] = met
        return examples

    def rows(self, split: Split) -> Iterator[Example | BadRow]:
        """The rows of one split in order, those that cannot be used too."""
        self.bad.clear()
        for number, example in enumerate(split, start=1):
            yield from self.bad
            self.bad.clear()
            yield example if example.row else replace(example, row=number)
        yield from self.bad
        self.bad.clear()
