"""From probabilities to decided labels. Scoring is one step, deciding another."""

from __future__ import annotations

import numpy as np

from ..bundle import Decision
from ..labels import Task
from . import BoolArray, FloatArray

DEFAULT_THRESHOLD = 0.5


def decide(probabilities: FloatArray, task: Task, decision: Decision) -> BoolArray:
    """The decided labels ``(n, n_labels) bool``; a row without any is out of scope."""
    if task is Task.MULTILABEL:
        return probabilities >= np.asarray(decision.thresholds, dtype=np.float32)
    decided = np.zeros(probabilities.shape, dtype=np.bool_)
    rows = np.arange(len(probabilities))
    best = probabilities.argmax(axis=1)
    decided[rows, best] = probabilities[rows, best] >= np.float32(decision.reject_below)
    return decided


def fit_thresholds(probabilities: FloatArray, gold: BoolArray, *, min_positives: int) -> tuple[float, ...]:
    """One threshold per label that maximises the label's F1 on these rows.

    A threshold lies midway between two neighbouring probabilities; of equally good ones the nearest to 0.5
    is taken. A label with fewer than ``min_positives`` positive rows keeps 0.5: too few to learn from.
    """
    return tuple(
        _best_threshold(probabilities[:, label], gold[:, label])
        if gold[:, label].sum() >= min_positives
        else DEFAULT_THRESHOLD
        for label in range(gold.shape[1])
    )


def _best_threshold(probability: FloatArray, gold: BoolArray) -> float:
    distinct = np.unique(probability)
    candidates = np.concatenate([(distinct[1:] + distinct[:-1]) / 2, [DEFAULT_THRESHOLD]])
    decided = probability[None, :] >= candidates[:, None]
    hits = (decided & gold).sum(axis=1)
    f1 = 2 * hits / (decided.sum(axis=1) + gold.sum())
    best = candidates[f1 == f1.max()]
    return round(float(best[np.abs(best - DEFAULT_THRESHOLD).argmin()]), 6)
