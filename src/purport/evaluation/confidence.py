"""Whether confidence is as good as its word: calibration errors, and how many of the sure answers are right.

Functions take ``weights (n_resamples, n)`` and return one value per resample, as in :mod:`.metrics`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..labels import Task
from ..model import BoolArray, FloatArray
from .outcome import Outcome, Values, Weights, ratio

CALIBRATION_BINS = 15
CONFIDENCES = (0.0, 0.95)
"""Decided labels are counted above each of these confidences; above 0 are all of them."""


def _top_label(probabilities: FloatArray, gold: BoolArray) -> tuple[Values, BoolArray]:
    """Confidence and truth of the most likely label of each row: ``(n, 1)``."""
    best = probabilities.argmax(axis=1, keepdims=True)
    confidence = np.take_along_axis(probabilities, best, 1).astype(np.float64)
    return confidence, np.take_along_axis(gold, best, 1)


def confidence_bins(confidence: Values) -> NDArray[np.intp]:
    """The equal-width bin of each confidence."""
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)


def calibration_bins(
    outcome: Outcome, probabilities: FloatArray
) -> tuple[NDArray[np.float64], BoolArray, NDArray[np.intp]]:
    """Confidence, truth and equal-width bin of each calibrated probability: ``(n, 1)`` or ``(n, n_labels)``.

    multiclass: the most likely label of each row; multilabel: every (row, label) pair.
    """
    confidence, truth = probabilities.astype(np.float64), outcome.gold
    if outcome.task is Task.MULTICLASS:
        confidence, truth = _top_label(probabilities, outcome.gold)
    return confidence, truth, confidence_bins(confidence)


def _calibration_error(confidence: Values, truth: BoolArray, counted: BoolArray, weights: Weights) -> Values:
    """Mean gap between confidence and truth over equal-width bins, of what is ``counted``; all ``(n, k)``.

    Naeini et al. (2015), eq. 3: the sum over bins of (share of what is counted) * |mean confidence - share true|.
    """
    bins, gaps = confidence_bins(confidence), np.zeros(len(weights))
    for index in range(CALIBRATION_BINS):
        inside = counted & (bins == index)
        gaps += np.abs(weights @ np.where(inside, confidence - truth, 0.0).sum(axis=1))
    return ratio(gaps, weights @ counted.sum(axis=1))


def expected_calibration_error(outcome: Outcome, weights: Weights) -> Values:
    """Mean gap between confidence and truth (Naeini et al. 2015) over the :func:`calibration_bins`.

    With several labels a row, this counts every (row, label) pair. Most of them are near 0 and rightly so, which hides
    answers that are too sure: see :func:`decided_calibration_error`.
    """
    confidence, truth, _ = calibration_bins(outcome, outcome.probabilities)
    return _calibration_error(confidence, truth, np.ones(truth.shape, dtype=np.bool_), weights)


def top_label_calibration_error(outcome: Outcome, weights: Weights) -> Values:
    """Mean gap between the confidence of each row's most likely label and how often it is a gold label.

    Naeini et al. (2015), on the confidence of Guo et al. (2017, §2). Rows without a gold label count: a label that is
    sure there is wrong.
    """
    confidence, truth = _top_label(outcome.probabilities, outcome.gold)
    return _calibration_error(confidence, truth, np.ones(truth.shape, dtype=np.bool_), weights)


def decided_calibration_error(outcome: Outcome, weights: Weights) -> Values:
    """Mean gap between confidence and truth of the decided (row, label) pairs, the answers that a user sees.

    Naeini et al. (2015), with each decided label as one case. Undefined where nothing is decided.
    """
    return _calibration_error(
        outcome.probabilities.astype(np.float64), outcome.gold, np.asarray(outcome.decided, dtype=np.bool_), weights
    )


def decided_above(outcome: Outcome) -> BoolArray:
    """Which labels are decided with more than each of :data:`CONFIDENCES`: ``(len(CONFIDENCES), n, n_labels)``."""
    sure = outcome.probabilities.astype(np.float64)
    return np.stack([outcome.decided & ((sure > above) | (above == 0.0)) for above in CONFIDENCES])


def right_above(outcome: Outcome, weights: Weights) -> Values:
    """The share of decided labels above each of :data:`CONFIDENCES` that are right: ``(n_resamples, ...)``."""
    shares = [
        ratio(weights @ (chosen & outcome.gold).sum(axis=1), weights @ chosen.sum(axis=1))
        for chosen in decided_above(outcome)
    ]
    return np.stack(shares, axis=1)
