"""Curves and tables behind an evaluation's figures. Points are thinned to what a figure can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..labels import Task
from ..manifest import Calibration
from ..model import BoolArray, FloatArray
from .metrics import CALIBRATION_BINS, Outcome, calibration_bins

_MOST_POINTS = 150
_THRESHOLDS = np.round(np.arange(0.02, 1.0, 0.02), 2)

Curve = list[tuple[float, float]]


def uncalibrated(probabilities: FloatArray, task: Task, calibration: Calibration) -> FloatArray:
    """Probabilities as they were at temperature 1, from those at the bundle's."""
    safe = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-9)
    if task is Task.MULTILABEL:
        logit = calibration.temperature * np.log(safe / (1 - safe))
        sigmoid: FloatArray = (1 / (1 + np.exp(-np.clip(logit, -700, 700)))).astype(np.float32)
        return sigmoid
    scaled = calibration.temperature * np.log(safe)
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    softmax: FloatArray = (scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32)
    return softmax


def row_confidence(outcome: Outcome) -> NDArray[np.float64]:
    """How probable the whole answer of each row is: ``(n,)``.

    multiclass: the probability of the likeliest label; multilabel: the product over labels of the
    probability of what was decided, as if labels were independent.
    """
    proba = outcome.probabilities.astype(np.float64)
    if outcome.task is Task.MULTICLASS:
        return np.asarray(proba.max(axis=1))
    return np.asarray(np.where(outcome.decided, proba, 1 - proba).prod(axis=1))


def right(outcome: Outcome) -> BoolArray:
    """Rows decided wholly right: ``(n,) bool``."""
    exact: BoolArray = (outcome.decided == outcome.gold).all(axis=1)
    return exact


def reliability(outcome: Outcome, probabilities: FloatArray) -> list[tuple[float, float, int]]:
    """Mean confidence, share that is true, and count of each non-empty bin, as in the calibration error."""
    confidence, truth, bins = calibration_bins(outcome, probabilities)
    found = []
    for index in range(CALIBRATION_BINS):
        inside = bins == index
        if inside.any():
            found.append((float(confidence[inside].mean()), float(truth[inside].mean()), int(inside.sum())))
    return found


def accuracy_coverage(confidence: NDArray[np.float64], correct: BoolArray) -> Curve:
    """Share of rows answered, and how many of those are wholly right, as the confidence asked for falls.

    Rows of one confidence are answered together (El-Yaniv & Wiener 2010).
    """
    hits, errors = _cumulative(confidence, correct)
    return thin((hits + errors) / len(confidence), hits / (hits + errors))


def coverage_at(confidence: NDArray[np.float64], correct: BoolArray, accuracy: float) -> tuple[float, float | None]:
    """The largest share of rows that can be answered with at least ``accuracy``, and from which confidence on."""
    hits, errors = _cumulative(confidence, correct)
    answered = hits + errors
    good = np.flatnonzero(hits / answered >= accuracy)
    if not len(good):
        return 0.0, None
    most = answered[good[-1]]
    return float(most / len(confidence)), float(np.sort(confidence)[-most])


def threshold_curve(outcome: Outcome) -> list[tuple[float, float, float, float]]:
    """Threshold, and micro precision, recall and exact match if every label had it."""
    found = []
    gold = outcome.gold
    if outcome.task is Task.MULTICLASS:
        best = np.zeros_like(gold)
        best[np.arange(len(gold)), outcome.probabilities.argmax(axis=1)] = True
    for threshold in _THRESHOLDS:
        decided = outcome.probabilities >= np.float32(threshold)
        if outcome.task is Task.MULTICLASS:
            decided &= best
        hits = float((decided & gold).sum())
        precision = hits / decided.sum() if decided.any() else 1.0
        recall = hits / max(int(gold.sum()), 1)
        exact = float((decided == gold).all(axis=1).mean())
        found.append((float(threshold), float(precision), float(recall), exact))
    return found


def roc_curve(scores: FloatArray, truth: BoolArray) -> Curve:
    """False and true positive rate at each distinct score, from (0, 0); empty without both kinds."""
    positive, negative = _cumulative(scores, truth)
    if not truth.any() or truth.all():
        return []
    return thin(np.append(0, negative / negative[-1]), np.append(0, positive / positive[-1]))


def precision_recall_curve(scores: FloatArray, truth: BoolArray) -> Curve:
    """Recall and precision at each distinct score, the highest first; empty without positives."""
    positive, negative = _cumulative(scores, truth)
    if not truth.any():
        return []
    return thin(positive / positive[-1], positive / (positive + negative))


def _cumulative(scores: NDArray[np.floating[Any]], truth: BoolArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    positive = np.cumsum(truth[order])[ends].astype(np.int64)
    return positive, (ends + 1 - positive).astype(np.int64)


def thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    """At most so many points as a figure can show, the ends among them."""
    if len(x) > _MOST_POINTS:
        chosen = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).astype(int))
        x, y = x[chosen], y[chosen]
    return [(round(float(a), 6), round(float(b), 6)) for a, b in zip(x, y, strict=True)]


def confusion(outcome: Outcome) -> NDArray[np.int64]:
    """multiclass: rows of each gold label (down) by decided label (across), the last column none: ``(n, n + 1)``."""
    n = outcome.gold.shape[1]
    decided = np.where(outcome.decided.any(axis=1), outcome.decided.argmax(axis=1), n)
    matrix = np.zeros((n, n + 1), dtype=np.int64)
    np.add.at(matrix, (outcome.gold.argmax(axis=1), decided), 1)
    return matrix


def set_confusions(gold: Sequence[frozenset[str]], decided: Sequence[frozenset[str]]) -> Counter[tuple[str, str]]:
    """How often one label set was answered where another was right."""
    wrong = Counter[tuple[str, str]]()
    for right_set, given in zip(gold, decided, strict=True):
        if right_set != given:
            wrong["+".join(sorted(right_set)) or "none", "+".join(sorted(given)) or "none"] += 1
    return wrong


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    if not n:
        return 0.0, 1.0
    z = 1.959963984540054
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return max(0.0, centre - half), min(1.0, centre + half)
