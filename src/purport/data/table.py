"""All rows of all splits of a dataset in one table, for exploring them and finding problems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..labels import LabelSet
from ..progress import SILENT, Reporter
from ..text import mostly_unspaced, words
from .catalog import load
from .dataset import Dataset
from .formats import BadRow
from .reading import Example, Reading

_EVALUATION = re.compile(r"test|valid|dev|val\b|eval|holdout")

Positions = NDArray[np.intp]


def is_evaluation(split: str) -> bool:
    """Whether a split is an evaluation split, judged by its name; all other splits are training data."""
    return "train" not in split and bool(_EVALUATION.search(split.lower()))


@dataclass(frozen=True)
class RowTable:
    """Every row of every split, in order; positions index ``examples``.

    ``bad_rows`` has the rows of each split that could not be used. Training splits come first.
    """

    name: str
    fingerprint: str
    split_names: tuple[str, ...]
    examples: Sequence[Example]
    split_of: Positions
    bad_rows: dict[str, list[BadRow]] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset) -> RowTable:
        """Read every split of ``dataset`` once.

        Raises:
            DataError: there is no usable row, or a split cannot be read.
        """
        names = tuple(sorted(dataset.splits, key=lambda name: (is_evaluation(name), name != "train", name)))
        examples, split_of = [], []
        for place, name in enumerate(names):
            for number, example in enumerate(dataset[name], start=1):
                examples.append(example if example.row else replace(example, row=number))
                split_of.append(place)
        if not examples:
            raise DataError(
                f"dataset {dataset.name} has no usable rows; purport data {dataset.name} shows what is wrong"
            )
        return cls(dataset.name, dataset.fingerprint, names, examples, np.array(split_of, dtype=np.intp))

    @classmethod
    def load(cls, ref: str, reading: Reading, reporter: Reporter = SILENT) -> RowTable:
        """The table of dataset ``ref``; rows that cannot be used go to ``bad_rows`` instead of raising an error."""
        bad: dict[str, dict[int, BadRow]] = {}

        def note(split: str, row: BadRow) -> None:
            bad.setdefault(split, {})[row.number] = row

        table = cls.of(load(ref, replace(reading, on_bad_row=note), reporter))
        table.bad_rows.update({split: list(rows.values()) for split, rows in bad.items()})
        return table

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def texts(self) -> list[str]:
        """The utterances."""
        return [example.text for example in self.examples]

    @cached_property
    def gold(self) -> list[tuple[str, ...]]:
        """The gold labels."""
        return [example.labels for example in self.examples]

    @cached_property
    def words(self) -> list[list[str]]:
        """The words of each text."""
        return [words(text) for text in self.texts]

    @cached_property
    def unspaced(self) -> bool:
        """Whether the texts are of a script without spaces, where ``words`` are single characters with their marks."""
        return mostly_unspaced(self.words)

    @cached_property
    def forms(self) -> list[str]:
        """The normal form of each text."""
        return [" ".join(found) or text.strip() for found, text in zip(self.words, self.texts, strict=True)]

    @cached_property
    def labels(self) -> LabelSet:
        """Every label of every split."""
        return LabelSet(sorted({label for gold in self.gold for label in gold}))

    @cached_property
    def matrix(self) -> NDArray[np.bool_]:
        """Gold labels as ``(n, n_labels) bool``."""
        return self.labels.encode(self.gold)

    @cached_property
    def is_training(self) -> NDArray[np.bool_]:
        """Which rows belong to training splits: ``(n,) bool``."""
        roles = np.array([not is_evaluation(name) for name in self.split_names])
        return np.asarray(roles[self.split_of])

    @cached_property
    def exclusive(self) -> bool:
        """Whether no row has more than one label."""
        return all(len(gold) <= 1 for gold in self.gold)

    def positions(self, split: str) -> Positions:
        """The rows of one split."""
        return np.flatnonzero(self.split_of == self.split_names.index(split))

    def split(self, position: int) -> str:
        """The name of the split of one row."""
        return self.split_names[int(self.split_of[position])]

    @cached_property
    def same_text(self) -> list[list[int]]:
        """Groups of at least two rows with the same normal form, ordered by their first row."""
        found: dict[str, list[int]] = {}
        for position, form in enumerate(self.forms):
            found.setdefault(form, []).append(position)
        return [group for group in found.values() if len(group) > 1]
