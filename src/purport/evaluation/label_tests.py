"""Which labels changed more than by chance between two bundles, corrected for the number of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from ..model import BoolArray
from .outcome import Outcome, Values

SURE = 0.05
_TAIL = 9.0  # standard deviations beyond which a binomial distribution has no weight that counts


def label_p_values(a: Outcome, b: Outcome) -> list[float]:
    """The chance, for each label, of so large a fall or rise of its F1 if A and B were equally good.

    A randomisation test (Fisher 1935; for F1: Yeh 2000): if A and B are equally good, each decision in which they
    differ could as well be swapped. All swaps are counted, so that the value is exact however few rows there are:
    with k changed rows it is never below 1 / 2^k. Falls and rises are corrected apart, so that the chance of any
    false fall, and that of any false rise, stays below :data:`SURE` (Holm 1979). Labels with so few changed rows that
    no value could ever be small enough are 1 and do not count (Tarone 1990).
    """
    found = np.ones(a.gold.shape[1])
    judged = _decidable((a.decided != b.decided).sum(axis=0))
    columns = (part[:, judged].T for part in (a.gold, a.decided, b.decided))
    sides = np.array([_p_values(*column) for column in zip(*columns, strict=True)]).reshape(-1, 2)
    falls, rises = (holm(side) for side in sides.T)
    found[judged] = np.where(sides[:, 0] <= sides[:, 1], falls, rises)
    return [float(value) for value in found]


def _decidable(changed: NDArray[np.int_]) -> NDArray[np.intp]:
    """The labels for which the test can find something: the most labels K whose least possible value is SURE / K."""
    least = 0.5 ** np.minimum(changed, 1000)
    for most in range(1, len(changed) + 1):
        chosen = np.flatnonzero(least < SURE / most)
        if len(chosen) <= most:
            return chosen
    return np.flatnonzero(changed < 0)


def _p_values(gold: BoolArray, a: BoolArray, b: BoolArray) -> tuple[float, float]:
    """The shares of swaps after which the F1 of B less that of A is at most, and at least, what it is now."""
    support, both = int(gold.sum()), a & b
    fixed = 2 * int((gold & both).sum()), support + int(both.sum())  # of F1: 2 hits / (support + predicted)
    right_rows, wrong_rows = gold & (a != b), ~gold & (a != b)
    right, right_odds = _swaps(int(right_rows.sum()))
    wrong, wrong_odds = _swaps(int(wrong_rows.sum()))

    def difference(hits: Values, false: Values) -> Values:
        """F1 of B less that of A if B has ``hits`` and ``false`` alarms among the rows that can be swapped."""
        b_f1 = (fixed[0] + 2 * hits) / np.maximum(fixed[1] + hits + false, 1)
        rest, others = right_rows.sum() - hits, wrong_rows.sum() - false
        return np.asarray(b_f1 - (fixed[0] + 2 * rest) / np.maximum(fixed[1] + rest + others, 1))

    now = difference(np.array(float((b & right_rows).sum())), np.array(float((b & wrong_rows).sum())))
    every = difference(right[:, None], wrong[None, :])
    fall, rise = (float(right_odds @ beyond @ wrong_odds) for beyond in (every <= now + 1e-12, every >= now - 1e-12))
    return min(1.0, fall), min(1.0, rise)


def _swaps(rows: int) -> tuple[Values, Values]:
    """How many of ``rows`` fall to B if each falls to A or B by a coin, and with what probability."""
    reach = _TAIL * np.sqrt(rows) / 2 + 1
    counts = np.arange(max(0, int(rows / 2 - reach)), min(rows, int(rows / 2 + reach)) + 1)
    return counts.astype(np.float64), np.asarray(binom.pmf(counts, rows, 0.5))


def holm(p_values: Sequence[float] | Values) -> Values:
    """p-values corrected for their number, so that the chance of any false one stays below the level (Holm 1979)."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected
