"""Curves and tables for the figures of a report. Points are thinned to what a figure can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax
from scipy.stats import binomtest
from sklearn import metrics as sk

from ..labels import Task
from ..manifest import Calibration, Likeliest, PerLabel
from ..model import BoolArray, FloatArray
from ..runtime.decision import decide
from .confidence import CALIBRATION_BINS, calibration_bins, confidence_bins
from .outcome import Outcome

_MOST_POINTS = 150
_THRESHOLDS = np.round(np.arange(0.02, 1.0, 0.02), 2)

Curve = list[tuple[float, float]]


def uncalibrated(probabilities: FloatArray, task: Task, calibration: Calibration) -> FloatArray:
    """Probabilities at temperature 1, computed from those at the bundle's temperature."""
    safe = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-9)
    if task is Task.MULTILABEL:
        undone = expit(calibration.temperature * logit(safe))
    else:
        undone = softmax(calibration.temperature * np.log(safe), axis=1)
    return np.asarray(undone, dtype=np.float32)


def row_confidence(outcome: Outcome) -> NDArray[np.float64]:
    """The probability that the answer to each row is exactly right: ``(n,)``.

    multiclass: that of the most likely label, or that this label is wrong where none is decided; multilabel: the
    product over labels, as if they were independent.
    """
    proba = outcome.probabilities.astype(np.float64)
    if outcome.task is Task.MULTICLASS:
        best = proba.max(axis=1)
        return np.asarray(np.where(outcome.decided.any(axis=1), best, 1 - best))
    return np.asarray(np.where(outcome.decided, proba, 1 - proba).prod(axis=1))


def right(outcome: Outcome) -> BoolArray:
    """Rows with exactly the right labels: ``(n,) bool``."""
    return np.asarray((outcome.decided == outcome.gold).all(axis=1))


def reliability(outcome: Outcome, probabilities: FloatArray) -> list[tuple[float, float, int]]:
    """Mean confidence, share correct, and count of each non-empty bin; the bins are those of the calibration error."""
    return _reliability(*calibration_bins(outcome, probabilities))


def reliability_decided(outcome: Outcome) -> list[tuple[float, float, int]]:
    """The same for the decided labels alone: the bins of the ``decided_calibration_error``."""
    sure = outcome.probabilities[outcome.decided].astype(np.float64)
    return _reliability(sure, outcome.gold[outcome.decided], confidence_bins(sure))


def _reliability(
    confidence: NDArray[np.float64], truth: BoolArray, bins: NDArray[np.intp]
) -> list[tuple[float, float, int]]:
    found = []
    for index in range(CALIBRATION_BINS):
        inside = bins == index
        if inside.any():
            found.append((float(confidence[inside].mean()), float(truth[inside].mean()), int(inside.sum())))
    return found


def accuracy_coverage(confidence: NDArray[np.float64], correct: BoolArray) -> Curve:
    """Share of rows answered, and the share of those exactly right, as the required confidence falls.

    Rows with the same confidence are answered together (El-Yaniv & Wiener 2010).
    """
    _, answered, accuracy = _answered(confidence, correct)
    return thin(answered / len(confidence), accuracy)


def risk_coverage(score: NDArray[np.float64], wrong: BoolArray, n: int) -> Curve:
    """Share of ``n`` rows answered, and the share of these answers that is ``wrong``, as the required score falls.

    The selective risk of El-Yaniv & Wiener (2010); empty if no row is answered.
    """
    if not len(score):
        return []
    _, answered, right = _answered(score, ~wrong)
    return thin(answered / n, 1 - right)


def coverage_at(confidence: NDArray[np.float64], correct: BoolArray, accuracy: float) -> tuple[float, float | None]:
    """The largest share of rows that can be answered with at least ``accuracy``, and the confidence it requires."""
    levels, answered, reached = _answered(confidence, correct)
    good = np.flatnonzero(reached >= accuracy)
    if not len(good):
        return 0.0, None
    return float(answered[good[-1]] / len(confidence)), float(levels[good[-1]])


def _answered(
    confidence: NDArray[np.float64], correct: BoolArray
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Each distinct confidence from the highest down, the rows at or above it, and the share of them correct."""
    levels, at, rows = np.unique(-confidence, return_inverse=True, return_counts=True)
    answered = np.cumsum(rows)
    return -levels, answered, np.cumsum(np.bincount(at, weights=correct)) / answered


def threshold_curve(outcome: Outcome) -> list[tuple[float, float, float, float]]:
    """Thresholds, with micro precision, recall and exact match if every label had that threshold."""
    found = []
    gold, multilabel = outcome.gold, outcome.task is Task.MULTILABEL
    for threshold in _THRESHOLDS.tolist():
        alike = PerLabel(thresholds=(threshold,) * gold.shape[1]) if multilabel else Likeliest(reject_below=threshold)
        decided = decide(outcome.probabilities, alike).labels
        hits = float((decided & gold).sum())
        precision = hits / decided.sum() if decided.any() else 1.0
        recall = hits / max(int(gold.sum()), 1)
        found.append((threshold, float(precision), recall, float((decided == gold).all(axis=1).mean())))
    return found


def roc_curve(scores: FloatArray, truth: BoolArray) -> Curve:
    """False and true positive rate at each distinct score, from (0, 0); empty without positives or negatives."""
    if not truth.any() or truth.all():
        return []
    false, true, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    return thin(false, true)


def precision_recall_curve(scores: FloatArray, truth: BoolArray) -> Curve:
    """Recall and precision at each distinct score, highest first; empty without positives."""
    if not truth.any():
        return []
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    return thin(recall[-2::-1], precision[-2::-1])  # without the last point, which scikit-learn adds


def thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    """At most as many points as a figure can show, including both ends."""
    if len(x) > _MOST_POINTS:
        chosen = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).astype(int))
        x, y = x[chosen], y[chosen]
    return [(round(float(a), 6), round(float(b), 6)) for a, b in zip(x, y, strict=True)]


def confusion(outcome: Outcome) -> NDArray[np.int64]:
    """multiclass only: gold labels (rows) by decided labels (columns), ``(n + 1, n + 1)``; the last of each is none."""
    n = outcome.gold.shape[1]
    gold, decided = (
        np.where(labels.any(axis=1), labels.argmax(axis=1), n) for labels in (outcome.gold, outcome.decided)
    )
    return np.asarray(sk.confusion_matrix(gold, decided, labels=range(n + 1)))


def set_confusions(gold: Sequence[frozenset[str]], decided: Sequence[frozenset[str]]) -> Counter[tuple[str, str]]:
    """How often each (gold, decided) pair of different label sets occurs."""
    return Counter(
        ("+".join(sorted(right_set)) or "none", "+".join(sorted(given)) or "none")
        for right_set, given in zip(gold, decided, strict=True)
        if right_set != given
    )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
