"""Turns probabilities into decided labels. The model's answer and the decision are separate steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..manifest import Decision, PerLabel
from ..model import BoolArray, FloatArray

DEFAULT_THRESHOLD = 0.5
_ROUNDING = np.float32(1e-6)


@dataclass(frozen=True, slots=True)
class Decided:
    """The decided ``labels (n, n_labels) bool``, and ``out_of_scope (n,) bool``: rows without a label."""

    labels: BoolArray
    out_of_scope: BoolArray

    @classmethod
    def of(cls, labels: BoolArray) -> Decided:
        """The decision for these labels."""
        return cls(labels, np.logical_not(labels.any(axis=1)))

    def same(self, other: Decided) -> BoolArray:
        """``(n,) bool``: whether both decide exactly the same labels."""
        equal: BoolArray = (self.labels == other.labels).all(axis=1)
        return equal


def decide(probabilities: FloatArray, decision: Decision, in_scope: FloatArray | None = None) -> Decided:
    """Decide each row of ``probabilities (n, n_labels)``; without ``in_scope (n,)``, every text may be in scope."""
    if isinstance(decision, PerLabel):
        decided = probabilities >= _cutoffs(decision.thresholds)
        if decision.likeliest_at < 1 and not (some := decided.any(axis=1)).all():
            lone = np.flatnonzero(~some)
            # Labels that always go together have the same probability, but for rounding: the first of them.
            found = probabilities[lone]
            best = (found >= found.max(axis=1, keepdims=True) - _ROUNDING).argmax(axis=1)
            decided[lone, best] = probabilities[lone, best] >= np.float32(decision.likeliest_at)
    else:
        decided = np.zeros(probabilities.shape, dtype=np.bool_)
        rows = np.arange(len(probabilities))
        best = probabilities.argmax(axis=1)
        likely = probabilities[rows, best]
        decided[rows, best] = (likely >= np.float32(decision.reject_below)) & (likely > 0)
    if in_scope is not None:
        decided &= (in_scope >= np.float32(decision.in_scope_at))[:, None]
    if decision.accept_at:
        score = acceptance(probabilities, decided, decision, in_scope)
        decided &= (score >= np.float32(decision.accept_at))[:, None]
    return Decided.of(decided)


def acceptance(
    probabilities: FloatArray, decided: BoolArray, decision: Decision, in_scope: FloatArray | None = None
) -> FloatArray:
    """The acceptance score of each row, ``(n,) float32`` in [0, 1]: how likely the ``decided`` labels are right.

    It is the probability that the text is in scope, times that the labels are right if it is: for multiclass that of
    the most likely label (Chow 1970), for multilabel the product of ``p`` over decided labels and ``1 - p`` over all
    others, the probability of exactly these labels if labels are independent. A promise only needs its order.
    """
    right: FloatArray
    if isinstance(decision, PerLabel):
        right = np.where(decided, probabilities, 1 - probabilities).prod(axis=1, dtype=np.float64).astype(np.float32)
    else:
        right = np.maximum.reduce(probabilities, axis=1, initial=0.0)
    return right if in_scope is None else right * in_scope


@lru_cache
def _cutoffs(thresholds: tuple[float, ...]) -> FloatArray:
    return np.asarray(thresholds, dtype=np.float32)
