"""Fitting calibration and decision on validation rows."""

from __future__ import annotations

import numpy as np

from ..labels import Task
from ..manifest import Temperature
from ..model import BoolArray, FloatArray
from ..runtime.decision import DEFAULT_THRESHOLD

# Temperatures tried, finest where most models lie; the best is then refined between its neighbours.
_GRID = np.geomspace(0.05, 20.0, 121)
_REFINEMENTS = 3


def fit_temperature(logits: FloatArray, gold: BoolArray, task: Task) -> Temperature:
    """The temperature with the least negative log-likelihood of ``gold`` (Guo et al. 2017, §4.2).

    One number for all labels: rare labels have too few validation rows for numbers of their own. For
    multilabel the likelihood is that of independent labels. A temperature never changes which label is
    likeliest. On separable data the optimum is unbounded; the search stops at the ends of its grid.
    """
    grid = _GRID
    best = 1.0
    for _ in range(_REFINEMENTS):
        losses = [_negative_log_likelihood(logits, gold, task, temperature) for temperature in grid]
        at = int(np.argmin(losses))
        best = float(grid[at])
        grid = np.geomspace(grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)], 21)
    return Temperature(temperature=round(best, 6))


def _negative_log_likelihood(logits: FloatArray, gold: BoolArray, task: Task, temperature: float) -> float:
    scaled = logits.astype(np.float64) / temperature
    if task is Task.MULTILABEL:
        return float(np.logaddexp(0.0, np.where(gold, -scaled, scaled)).sum())
    top = scaled.max(axis=1, keepdims=True)
    log_sum = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
    return float((log_sum - scaled[gold]).sum())


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
