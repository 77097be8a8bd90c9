"""From logits to probabilities that mean what they say."""

from __future__ import annotations

import numpy as np

from ..labels import Task
from ..manifest import Calibration
from ..model import FloatArray


def probabilities(logits: FloatArray, task: Task, calibration: Calibration) -> FloatArray:
    """Calibrated probabilities ``(n, n_labels) float32``; for multiclass each row sums to 1."""
    scaled = logits.astype(np.float64) / calibration.temperature
    if task is Task.MULTILABEL:
        return (0.5 * (1.0 + np.tanh(0.5 * scaled))).astype(np.float32)
    scaled -= scaled.max(axis=1, keepdims=True)
    exp = np.exp(scaled)
    softmax: FloatArray = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return softmax
