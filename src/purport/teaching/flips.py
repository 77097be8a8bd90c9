"""Which other answers change when a bundle is taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.reading import Example
from ..model import BoolArray
from ..progress import SILENT, Reporter
from ..runtime.asking import ask
from ..runtime.calibration import Calibrated, Scores
from .lesson import named

TRAIN, VALID = "train", "valid"


@dataclass(frozen=True, slots=True)
class Flip:
    """A row that is decided otherwise than before.

    ``row`` is its row number in its file (0 if it has none), ``gold`` its labels; ``broken``: it was right before.
    ``split`` is the one that it is of.
    """

    text: str
    row: int
    gold: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    broken: bool
    split: str = VALID

    def __str__(self) -> str:
        said = "now wrong" if self.broken else "now right" if set(self.after) == set(self.gold) else "wrong before, too"
        of = "" if self.split == VALID else f" of {self.split}"
        return f'row {self.row}{of} "{self.text}": {named(self.before)} → {named(self.after)} ({said})'


@dataclass(frozen=True)
class Witnesses:
    """Rows of one split with their scores, to see how their answers change.

    ``split`` is the name of their split, empty if the data was not found: then there are no rows.
    """

    examples: Sequence[Example]
    scores: Scores
    split: str = VALID

    @classmethod
    def of(cls, examples: Sequence[Example], model: Calibrated, split: str, reporter: Reporter = SILENT) -> Witnesses:
        """Score ``examples``, rows of ``split``."""
        texts, what = [example.text for example in examples], "validation" if split == VALID else "training"
        scores = ask(model.score, texts, reporter, what=f"classifying {what} rows", unit="rows")
        return cls(examples, scores, split if examples else "")

    def flips(self, before: BoolArray, after: BoolArray, names: Sequence[str]) -> tuple[Flip, ...]:
        """The rows whose decisions ``before`` and ``after (n, n_labels) bool`` differ, the broken ones first."""
        found = []
        for at in np.flatnonzero((before != after).any(axis=1)).tolist():
            example = self.examples[at]
            old, new = (tuple(names[label] for label in np.flatnonzero(rows[at]).tolist()) for rows in (before, after))
            broken = set(old) == set(example.labels) != set(new)
            found.append(Flip(example.text, example.row, example.labels, old, new, broken, self.split))
        return tuple(sorted(found, key=lambda flip: not flip.broken))
