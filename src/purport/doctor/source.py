"""The data that a fix plan is applied to: rows with all their columns, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

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

    def rows(self, split: Split) -> Iterator[Example | BadRow]:
        """The rows of one split in order, those that cannot be used too."""
        self.bad.clear()
        for number, example in enumerate(split, start=1):
            yield from self.bad
            self.bad.clear()
            yield example if example.row else replace(example, row=number)
        yield from self.bad
        self.bad.clear()


def layout_of(split: Split) -> Layout:
    """How the files of ``split`` are laid out, with the names of their columns."""
    if split.reading is None:
        return Layout()
    return understand(split.files[0], split.reading.layout).layout
