"""A validation split that keeps the shares of labels, rare ones and combinations included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stratified_mask(gold: Sequence[tuple[str, ...]], fraction: float, *, seed: int) -> NDArray[np.bool_]:
    """Choose a stratified ``fraction`` of rows: ``(n,) bool``, true where a row is chosen.

    Systematic sampling over a sorted frame (implicit stratification; Cochran, *Sampling Techniques*, 1977,
    ch. 8): rows are put in the order of their rarest label, then of their label combination, then at
    random, and every ``1 / fraction``-th is taken. So each group gets its share to within one row, in
    O(n log n). A label's only row is never chosen, so that every label stays in what is left.

    Raises:
        ValueError: ``fraction`` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, not {fraction}")
    rng = np.random.default_rng(seed)
    counts = Counter(label for labels in gold for label in labels)
    rarest = [min(((counts[label], label) for label in labels), default=(len(gold), "")) for labels in gold]
    shuffled = rng.permutation(len(gold))
    order = sorted(shuffled, key=lambda row: (*rarest[row], gold[row]))
    # Row k is taken when the running total of shares passes a whole number.
    totals = np.floor(rng.random() + fraction * np.arange(len(gold) + 1))
    mask = np.zeros(len(gold), dtype=np.bool_)
    left = counts.copy()
    for position in np.flatnonzero(np.diff(totals)):
        row = order[position]
        if all(left[label] > 1 for label in gold[row]):
            mask[row] = True
            left.subtract(gold[row])
    return mask
