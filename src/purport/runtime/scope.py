"""Whether any label applies to a text."""

from __future__ import annotations

import numpy as np

from ..model import FloatArray


def in_scope(probabilities: FloatArray) -> FloatArray:
    """The probability ``(n,) float32`` that some label applies, from ``probabilities (n, n_labels)``.

    That of the likeliest label: the least that it can be by the laws of probability, and the usual score where nothing
    else is known (Hendrycks & Gimpel 2017).
    """
    likeliest: FloatArray = np.maximum.reduce(probabilities, axis=1, initial=0.0)
    return likeliest
