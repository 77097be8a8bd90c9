"""Which other answers change when a bundle is taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..classifier import Classifier
from ..data.reading import Example
from ..evaluation.rows import own_data
from ..model import BoolArray
from ..progress import SILENT, Reporter
from ..runtime.asking import ask
from ..runtime.calibration import Calibrated, Scores

VALID = "valid"


@dataclass(frozen=True, slots=True)
class Flip:
    """A row that is decided otherwise than before.

    ``row`` is its row number in its file (0 if it has none), ``gold`` its labels; ``broken``: it was right before.
    """

    text: str
    row: int
    gold: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    broken: bool

    def __str__(self) -> str:
        said = "now wrong" if self.broken else "now right" if set(self.after) == set(self.gold) else "wrong before, too"
        return f'row {self.row} "{self.text}": {_named(self.before)} → {_named(self.after)} ({said})'


@dataclass(frozen=True)
class Witnesses:
    """The validation rows of a bundle with their scores, to see how their answers change.

    ``split`` is the name of their split, empty if the data was not found: then there are no rows.
    """

    examples: Sequence[Example]
    scores: Scores
    split: str = VALID

    @classmethod
    def of(cls, classifier: Classifier, model: Calibrated, reporter: Reporter = SILENT) -> Witnesses:
        """Score the validation rows that ``classifier`` was trained with, if its data is still there unchanged."""
        data = own_data(classifier.bundle)
        examples = [] if data is None or VALID not in data.splits else list(data[VALID])
        texts = [example.text for example in examples]
        scores = ask(model.score, texts, reporter, what="classifying the validation rows", unit="rows")
        return cls(examples, scores, VALID if examples else "")

    def flips(self, before: BoolArray, after: BoolArray, names: Sequence[str]) -> tuple[Flip, ...]:
        """The rows whose decisions ``before`` and ``after (n, n_labels) bool`` differ, the broken ones first."""
        found = []
        for at in np.flatnonzero((before != after).any(axis=1)).tolist():
            example = self.examples[at]
            old, new = (tuple(names[label] for label in np.flatnonzero(rows[at]).tolist()) for rows in (before, after))
            broken = set(old) == set(example.labels) != set(new)
            found.append(Flip(example.text, example.row, example.labels, old, new, broken))
        return tuple(sorted(found, key=lambda flip: not flip.broken))


def _named(labels: Sequence[str]) -> str:
    return "+".join(labels) or "no label"
