"""Whether any label applies to a text."""

from __future__ import annotations

import numpy as np

from ..model import FloatArray


def in_scope(probabilities: FloatArray) -> FloatArray:
    """The probability ``(n,) float32`` that some label applies, from ``probabilities (n, n_labels)``.

    It is the probability of the most likely label, which is a lower bound, and the usual score if nothing else is known
    (Hendrycks & Gimpel 2017).
    """
    likeliest: FloatArray = np.maximum.reduce(probabilities, axis=1, initial=0.0)
    return likeliest
