"""95 % intervals: percentiles over bootstrap samples of rows (Efron & Tibshirani 1993, ch. 13)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..frozen import Frozen
from .bounds import exact_interval
from .outcome import Values

LEVEL = 0.95
_CHUNK_CELLS = 4_000_000  # weights in memory at once while resampling: 32 MB


class Estimate(Frozen):
    """A metric with its bootstrap interval; all ``None`` if it is undefined on these rows."""

    value: float | None
    low: float | None
    high: float | None


def bootstrapped(
    measured: Callable[[Values], dict[str, Values]], n: int, resamples: int, seed: int | np.random.Generator
) -> tuple[dict[str, Values], dict[str, Values]]:
    """The values of ``measured`` on the original ``n`` rows, and on ``resamples`` bootstrap samples of them.

    ``measured`` takes weights ``(n_resamples, n)`` (how often each row was drawn) and returns a row per resample.

    Raises:
        ValueError: ``resamples`` is less than 1.
    """
    if resamples < 1:
        raise ValueError("an interval needs at least one bootstrap sample")
    rng = np.random.default_rng(seed)
    size = max(1, min(resamples, _CHUNK_CELLS // n))
    parts = []
    for start in range(0, resamples, size):
        weights = np.zeros((min(size, resamples - start), n))
        for row in weights:
            row += np.bincount(rng.integers(0, n, size=n), minlength=n)
        parts.append(measured(weights))
    return measured(np.ones((1, n))), {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def estimate(value: float, spread: NDArray[np.float64], n: int = 0) -> Estimate:
    """``value`` with the percentile interval of its resamples; all ``None`` if it is undefined.

    Resamples of rows that are all right, or all wrong, have no spread. If ``value`` is a share of ``n`` rows, it then
    has the exact interval (Clopper & Pearson 1934).
    """
    if np.isnan(value):
        return Estimate(value=None, low=None, high=None)
    defined = spread[~np.isnan(spread)]
    if not len(defined):
        return Estimate(value=rounded(value), low=None, high=None)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    if n and low == high == value and value in (0, 1):
        low, high = exact_interval(int(value) * n, n, LEVEL)
    return Estimate(value=rounded(value), low=rounded(low), high=rounded(high))


def rounded(value: float) -> float:
    """Round to six decimals, so that results agree between machines whose sums differ in the last bit."""
    return round(float(value), 6)
