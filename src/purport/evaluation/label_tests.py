"""Which labels changed more than by chance between two bundles, corrected for the number of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from .outcome import Outcome, Values

SURE = 0.05
_TAIL = 9.0  # standard deviations beyond which a binomial distribution has no weight that counts


def label_p_values(a: Outcome, b: Outcome) -> list[float]:
    """Two-sided p-value of each label's difference in F1, corrected for all labels that changed.

    A randomisation test (Fisher 1935; for F1: Yeh 2000): if A and B are equally good, each decision in which they
    differ could as well be swapped. All swaps are counted, so that the value is exact however few rows there are:
    with k changed rows it is never below 2 / 2^k. Corrected after Holm (1979) over the labels for which a value below
    :data:`SURE` is possible at all (Tarone 1990); 1 for every other label.
    """
    found = np.ones(a.gold.shape[1])
    changed = a.decided != b.decided
    possible = np.flatnonzero(2.0 / 2.0 ** changed.sum(axis=0).clip(max=60) < SURE)
    for column in possible:
        found[column] = _p_value(a.gold[:, column], a.decided[:, column], b.decided[:, column])
    found[possible] = holm(found[possible])
    return [float(value) for value in found]


def _p_value(gold: NDArray[np.bool_], a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """The share of swaps after which the F1 of A and B differ at least as much as they do now."""
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
    as_much = np.abs(every) >= np.abs(now) - 1e-12
    return min(1.0, float(right_odds @ as_much @ wrong_odds))


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
