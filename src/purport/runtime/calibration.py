"""From logits to probabilities that mean what they say."""

from __future__ import annotations

import numpy as np

from ..bundle import Calibration
from ..labels import Task
from . import BoolArray, FloatArray

# Temperatures tried, finest where most models lie; the best is then refined between its neighbours.
_GRID = np.geomspace(0.05, 20.0, 121)
_REFINEMENTS = 3


def probabilities(logits: FloatArray, task: Task, calibration: Calibration) -> FloatArray:
    """Calibrated probabilities ``(n, n_labels) float32``; for multiclass each row sums to 1."""
    scaled = logits.astype(np.float64) / calibration.temperature
    if task is Task.MULTILABEL:
        return (0.5 * (1.0 + np.tanh(0.5 * scaled))).astype(np.float32)
    scaled -= scaled.max(axis=1, keepdims=True)
    exp = np.exp(scaled)
    softmax: FloatArray = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return softmax


def fit_temperature(logits: FloatArray, gold: BoolArray, task: Task) -> Calibration:
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
    return Calibration(temperature=round(best, 6))


def _negative_log_likelihood(logits: FloatArray, gold: BoolArray, task: Task, temperature: float) -> float:
    scaled = logits.astype(np.float64) / temperature
    if task is Task.MULTILABEL:
        return float(np.logaddexp(0.0, np.where(gold, -scaled, scaled)).sum())
    top = scaled.max(axis=1, keepdims=True)
    log_sum = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
    return float((log_sum - scaled[gold]).sum())
