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


def fit_thresholds(probabilities: FloatArray, gold: BoolArray, *, min_gain: int) -> tuple[float, ...]:
    """One threshold per label, from these rows: 0.5, unless another one decides clearly more rows right.

    For calibrated probabilities 0.5 makes the fewest errors. A label's threshold moves to where it makes
    the fewest here (midway between two probabilities, the nearest to 0.5 of equally good ones) only if that
    is at least ``min_gain`` rows fewer: a handful of validation rows would otherwise move it by chance.
    """
    return tuple(_threshold(probabilities[:, label], gold[:, label], min_gain) for label in range(gold.shape[1]))


def _threshold(probability: FloatArray, gold: BoolArray, min_gain: int) -> float:
    distinct, at = np.unique(probability, return_inverse=True)
    positives = np.bincount(at, weights=gold, minlength=len(distinct))
    rows = np.bincount(at, minlength=len(distinct))
    # errors[k]: positives below the cut before distinct[k], plus negatives from there up.
    below = np.concatenate([[0.0], np.cumsum(positives)])
    above = np.concatenate([np.cumsum((rows - positives)[::-1])[::-1], [0.0]])
    errors = (below + above)[1:-1]
    now = int(((probability >= DEFAULT_THRESHOLD) != gold).sum())
    if not len(errors) or now - errors.min() < min_gain:
        return DEFAULT_THRESHOLD
    low, high = distinct[:-1], distinct[1:]
    middle = (low + high) / 2
    # Between two neighbouring float32 there is no third: then the upper one is the cut.
    cuts = np.where(middle > low, middle, high)[errors == errors.min()]
    return float(cuts[np.abs(cuts - DEFAULT_THRESHOLD).argmin()])
