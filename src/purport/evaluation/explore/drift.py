"""How a split differs from the training split: labels, words, and whether a model can tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...data.table import Positions, RowTable
from ...labels import Task
from .. import quick
from ..evaluate import LEVEL, rounded
from ..metrics import Outcome, roc_auc
from .facts import Drift

_PERMUTATIONS = 999
_DEALS = 5
_MOST_ROWS = 5_000  # of each split, that the classifier is shown
_RESAMPLES = 1_000


def drift_between(table: RowTable, base: str, other: str, *, seed: int) -> Drift:
    """The drift from split ``base`` to split ``other``."""
    rng = np.random.default_rng(seed)
    left, right = table.positions(base), table.positions(other)
    codes: dict[tuple[str, ...], int] = {}
    of_row = np.array([codes.setdefault(labels, len(codes)) for labels in table.gold])
    counts = np.stack([np.bincount(of_row[side], minlength=len(codes)) for side in (left, right)])
    p_value, by_chance = label_shift(counts, rng)
    unigrams = _divergences(table, left, right, 1, rng)
    bigrams = _divergences(table, left, right, 2, rng)
    auc = two_sample_auc(table, left, right, rng)
    return Drift(
        split=other,
        against=base,
        label_distance=rounded(total_variation(counts[0], counts[1])),
        label_distance_by_chance=rounded(by_chance),
        label_p_value=rounded(p_value),
        unigram_divergence=rounded(unigrams[0]),
        unigram_divergence_by_chance=rounded(unigrams[1]),
        bigram_divergence=rounded(bigrams[0]),
        bigram_divergence_by_chance=rounded(bigrams[1]),
        classifier_auc=auc and rounded(auc[0]),
        classifier_auc_low=auc and rounded(auc[1]),
        classifier_auc_high=auc and rounded(auc[2]),
        classifier_rows=2 * min(len(left), len(right), _MOST_ROWS),
    )


def total_variation(left: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    """Half the sum of differences of shares: 0 for the same shares, 1 for nothing in common."""
    return float(np.abs(left / left.sum() - right / right.sum()).sum() / 2)


def label_shift(counts: NDArray[np.int64], rng: np.random.Generator) -> tuple[float, float]:
    """Permutation p-value of Pearson's chi-squared for ``counts (2, n_kinds)``, and the distance by chance.

    Rows are dealt to the two splits anew (multivariate hypergeometric), so that rare kinds need no
    approximation (Fisher 1935).
    """
    totals, sizes = counts.sum(axis=0), counts.sum(axis=1)
    expected = np.outer(sizes, totals) / totals.sum()

    def statistic(dealt: NDArray[np.int64]) -> NDArray[np.float64]:
        both = np.stack([totals - dealt, dealt], axis=1)
        return np.asarray(((both - expected) ** 2 / np.maximum(expected, 1e-12)).sum(axis=(1, 2)))

    dealt = rng.multivariate_hypergeometric(totals, int(sizes[1]), size=_PERMUTATIONS, method="marginals")
    extreme = statistic(dealt) >= statistic(counts[1][None])[0] - 1e-9
    distances = [total_variation(totals - row, row) for row in dealt[:200]]
    return float((extreme.sum() + 1) / (_PERMUTATIONS + 1)), float(np.mean(distances))


def jensen_shannon(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Jensen-Shannon divergence of two count vectors in bits, in [0, 1] (Lin 1991)."""
    p, q = left / left.sum(), right / right.sum()
    middle = (p + q) / 2

    def relative(part: NDArray[np.float64]) -> float:
        seen = part > 0
        return float((part[seen] * np.log2(part[seen] / middle[seen])).sum())

    return (relative(p) + relative(q)) / 2


def _divergences(
    table: RowTable, left: Positions, right: Positions, size: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Divergence of n-grams, and its mean where the same rows are dealt at random."""
    codes: dict[str, int] = {}
    both = np.concatenate([left, right])
    rows = [
        np.array([codes.setdefault(gram, len(codes)) for gram in _grams(table.words[position], size)], dtype=np.int64)
        for position in both
    ]
    if not codes:
        return 0.0, 0.0

    def counts(chosen: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        parts = [rows[index] for index in chosen]
        return np.bincount(np.concatenate(parts) if parts else [], minlength=len(codes)).astype(float)

    everything = counts(range(len(rows)))
    observed = counts(range(len(left), len(rows)))
    if not observed.sum() or observed.sum() == everything.sum():
        return 0.0, 0.0
    chance = []
    for _ in range(_DEALS):
        drawn = counts(rng.permutation(len(rows))[: len(right)])
        chance.append(jensen_shannon(everything - drawn, drawn))
    return jensen_shannon(everything - observed, observed), float(np.mean(chance))


def _grams(words: list[str], size: int) -> list[str]:
    return words if size == 1 else [f"{a} {b}" for a, b in pairwise(words)]


def two_sample_auc(
    table: RowTable, left: Positions, right: Positions, rng: np.random.Generator
) -> tuple[float, float, float] | None:
    """Area under the ROC curve, with interval, of telling the two sets of texts apart; as many rows of each."""
    size = min(len(left), len(right), _MOST_ROWS)
    if size < 10:
        return None
    positions = np.concatenate([rng.choice(side, size=size, replace=False) for side in (left, right)])
    target = np.repeat([False, True], size)
    forms = [table.forms[position] for position in positions]
    matrix = quick.features([table.texts[position] for position in positions])
    fold_of = quick.folds(forms, [("a",) if side else ("b",) for side in target], 5, 0)
    found = quick.cross_validate(matrix, target[:, None], fold_of, exclusive=False, seed=0)
    outcome = Outcome(target[:, None], target[:, None], found.probabilities, Task.MULTILABEL)
    drawn = np.stack([np.bincount(row, minlength=2 * size) for row in _resamples(rng, 2 * size)]).astype(float)
    area = float(roc_auc(outcome, np.ones((1, 2 * size)))[0, 0])
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(roc_auc(outcome, drawn)[:, 0], [tail, 1 - tail])
    return area, float(low), float(high)


def _resamples(rng: np.random.Generator, size: int) -> NDArray[np.int64]:
    return rng.integers(0, size, size=(_RESAMPLES if size <= 4_000 else 200, size))
