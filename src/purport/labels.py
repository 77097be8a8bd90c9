"""The task and the ordered labels of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .errors import LabelUnknown, did_you_mean

MOST_LABELS = 20_000
"""A model has no more. An answer may name all of them, and a list of answers a thousand times."""
_MOST_CHARACTERS = 2**20


class Task(StrEnum):
    """``multiclass``: exactly one label per utterance; ``multilabel``: any number, including none."""

    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"


class LabelSet:
    """The ordered labels of one model: index ↔ name. Immutable.

    Raises:
        ValueError: a label is empty or occurs twice.
    """

    __slots__ = ("_index", "names")

    def __init__(self, names: Iterable[str]) -> None:
        self.names: tuple[str, ...] = tuple(names)
        self._index = {name: index for index, name in enumerate(self.names)}
        if "" in self._index:
            raise ValueError("a label is empty")
        if len(self._index) != len(self.names):
            twice = next(name for at, name in enumerate(self.names) if self._index[name] != at)
            raise ValueError(f'the label "{twice}" occurs twice')

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSet) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        return f"LabelSet({list(self.names)})"

    def index(self, name: str) -> int:
        """The position of ``name``.

        Raises:
            LabelUnknown: it is not in the set.
        """
        try:
            return self._index[name]
        except KeyError:
            raise LabelUnknown(f'unknown label "{name}".{did_you_mean(name, self.names)}') from None

    def encode(self, rows: Iterable[Iterable[str]]) -> NDArray[np.bool_]:
        """Gold labels as ``(n_rows, n_labels) bool``.

        Raises:
            LabelUnknown: a row has a label that is not in the set.
        """
        rows = list(rows)
        matrix = np.zeros((len(rows), len(self.names)), dtype=np.bool_)
        for row, labels in enumerate(rows):
            for label in labels:
                matrix[row, self.index(label)] = True
        return matrix

    def decode(self, matrix: NDArray[np.bool_]) -> list[tuple[str, ...]]:
        """The inverse of :meth:`encode`: the labels of each row, in the order of the set."""
        return [tuple(self.names[index] for index in np.flatnonzero(row)) for row in matrix]


def too_many(names: Sequence[str]) -> str | None:
    """Why ``names`` are too many or too long to be the labels of one model; ``None`` if they are not."""
    if len(names) > MOST_LABELS:
        return f"there are {len(names):,} labels; a model has at most {MOST_LABELS:,}"
    if (characters := sum(map(len, names))) > _MOST_CHARACTERS:
        return f"the labels have {characters:,} characters together; at most {_MOST_CHARACTERS:,} are allowed"
    return None


def none_of_these(labels: LabelSet) -> str:
    """The answer that none of ``labels`` applies, for whoever needs a name for it: one that no label has."""
    name = "none of these"
    while name in labels:
        name += " labels"
    return name
