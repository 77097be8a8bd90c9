"""Draws a validation split that preserves the shares of labels, including rare labels and combinations."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def stratified_mask(
    gold: Iterable[tuple[str, ...]], fraction: float, *, seed: int, keys: NDArray[np.uint64] | None = None
) -> NDArray[np.bool_]:
    """Choose a stratified ``fraction`` of rows: ``(n,) bool``, true where a row is chosen.

    Systematic sampling over a sorted frame (implicit stratification; Cochran, *Sampling Techniques*, 1977, ch. 8):
    rows are sorted by their rarest label, then by their label combination, then at random, and every
    ``1 / fraction``-th row is chosen. Each group gets its share to within one row, in O(n log n) time and a few numbers
    per row. The only row with a label is never chosen, so that every label remains in the other rows.

    With ``keys (n,) uint64``, each group gives the rows with the smallest keys instead (bottom-k sampling, Cohen &
    Kaplan 2007): a row whose key is a hash of its content stays on its side when rows are added, removed or moved.

    Raises:
        ValueError: ``fraction`` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, not {fraction}")
    codes: dict[tuple[str, ...], int] = {}
    rows = np.frombuffer(array("q", (codes.setdefault(labels, len(codes)) for labels in gold)), dtype=np.int64)
    combinations = list(codes)
    left: Counter[str] = Counter()
    for labels, count in zip(combinations, np.bincount(rows, minlength=len(codes)).tolist(), strict=True):
        left.update(dict.fromkeys(labels, count))
    rarest = [min(((left[label], label) for label in labels), default=(len(rows), "")) for labels in combinations]
    by_rarity = sorted(range(len(combinations)), key=lambda code: (*rarest[code], combinations[code]))
    rank = np.argsort(by_rarity)

    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(rows)) if keys is None else np.argsort(keys, kind="stable")
    order = shuffled[np.argsort(rank[rows[shuffled]], kind="stable")]
    # A row is chosen where the running total of shares passes a whole number.
    passed = np.diff(np.floor(rng.random() + fraction * np.arange(len(rows) + 1))) > 0
    if keys is not None:
        passed = _first_of_each(rank[rows[order]], passed)
    mask = np.zeros(len(rows), dtype=np.bool_)
    for row in order[passed]:
        labels = combinations[rows[row]]
        if all(left[label] > 1 for label in labels):
            mask[row] = True
            left.subtract(labels)
    return mask


def _first_of_each(groups: NDArray[np.intp], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """As many of each of the sorted ``groups`` as are ``chosen``, but its first ones."""
    _, start, group = np.unique(groups, return_index=True, return_inverse=True)
    place = np.arange(len(groups)) - start[group]
    wanted = np.bincount(group, weights=chosen).astype(np.intp)
    return np.asarray(place < wanted[group])
