"""What metrics are computed from: gold labels and answers, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..labels import Task
from ..model import BoolArray, FloatArray

Weights = NDArray[np.float64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """Gold labels and answers: ``gold`` and ``decided (n, n_labels) bool``, ``probabilities`` of the same shape.

    Labels that the model does not know have columns too; their probability is 0 and they are never decided.
    """

    gold: BoolArray
    decided: BoolArray
    probabilities: FloatArray
    task: Task

    def __len__(self) -> int:
        return len(self.gold)


def ratio(above: Values, below: Values) -> Values:
    """``above / below``, NaN where ``below`` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
