"""How a split differs from the training split in labels and words, and whether a model can tell them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.feature_extraction.text import CountVectorizer

from ...data.table import Positions, RowTable
from ...labels import Task
from .. import quick
from ..metrics import roc_auc
from ..outcome import Outcome
from ..resampling import Estimate, bootstrapped, estimate, rounded
from .exploration import Drift

_PERMUTATIONS = 999
_DEALS = 5
_MOST_ROWS = 5_000  # of each split, for the classifier
_RESAMPLES = 1_000


def drift_between(table: RowTable, base: str, other: str, *, seed: int) -> Drift:
    """The drift from split ``base`` to split ``other``."""
    rng = np.random.default_rng(seed)
    left, right = table.positions(base), table.positions(other)
    codes: dict[tuple[str, ...], int] = {}
    of_row = np.array([codes.setdefault(labels, len(codes)) for labels in table.gold])
    counts = np.stack([np.bincount(of_row[side], minlength=len(codes)) for side in (left, right)])
    p_value, by_chance = label_shift(counts, rng)
    unigrams, unigrams_by_chance = _divergences(table, left, right, 1, rng)
    bigrams, bigrams_by_chance = _divergences(table, left, right, 2, rng)
    auc = two_sample_auc(table, left, right, rng)
    return Drift(
        split=other,
        against=base,
        label_distance=rounded(total_variation(counts[0], counts[1])),
        label_distance_by_chance=rounded(by_chance),
        label_p_value=rounded(p_value),
        unigram_divergence=rounded(unigrams),
        unigram_divergence_by_chance=rounded(unigrams_by_chance),
        bigram_divergence=rounded(bigrams),
        bigram_divergence_by_chance=rounded(bigrams_by_chance),
        classifier_auc=auc.value,
        classifier_auc_low=auc.low,
        classifier_auc_high=auc.high,
        classifier_rows=2 * min(len(left), len(right), _MOST_ROWS),
    )


def total_variation(left: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    """Half the sum of the absolute differences of shares: 0 for equal shares, 1 for nothing in common."""
    return float(np.abs(left / left.sum() - right / right.sum()).sum() / 2)


def label_shift(counts: NDArray[np.int64], rng: np.random.Generator) -> tuple[float, float]:
    """Permutation p-value of Pearson's chi-squared for ``counts (2, n_kinds)``, and the distance by chance.

    Rows are reassigned to the splits at random (multivariate hypergeometric), which is exact for rare kinds too
    (Fisher 1935).
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
    middle = left / left.sum() + right / right.sum()
    return float(entropy(left, middle, base=2) + entropy(right, middle, base=2)) / 2


def _divergences(
    table: RowTable, left: Positions, right: Positions, size: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Divergence of n-grams, and its mean when the same rows are assigned to the splits at random."""
    both = np.concatenate([left, right])
    if not any(len(table.words[position]) >= size for position in both):
        return 0.0, 0.0
    counter = CountVectorizer(
        tokenizer=table.words.__getitem__, token_pattern=None, lowercase=False, ngram_range=(size, size)
    )
    counts = counter.fit_transform(both)
    everything, observed = _total(counts), _total(counts[len(left) :])
    if not observed.sum() or observed.sum() == everything.sum():
        return 0.0, 0.0
    deals = [_total(counts[rng.permutation(len(both))[: len(right)]]) for _ in range(_DEALS)]
    chance = [jensen_shannon(everything - drawn, drawn) for drawn in deals]
    return jensen_shannon(everything - observed, observed), float(np.mean(chance))


def _total(counts: Any) -> NDArray[np.float64]:
    """The sum of sparse rows ``(n, n_grams)``."""
    return np.asarray(counts.sum(axis=0), dtype=float).ravel()


def two_sample_auc(table: RowTable, left: Positions, right: Positions, rng: np.random.Generator) -> Estimate:
    """AUC of a model that tells two sets of texts apart, with equally many rows of each; ``None`` under ten rows."""
    size = min(len(left), len(right), _MOST_ROWS)
    if size < 10:
        return Estimate(value=None, low=None, high=None)
    positions = np.concatenate([rng.choice(side, size=size, replace=False) for side in (left, right)])
    target = np.repeat([False, True], size)
    forms = [table.forms[position] for position in positions]
    matrix = quick.features([table.texts[position] for position in positions])
    fold_of = quick.folds(forms, [(str(side),) for side in target], 5, 0)
    found = quick.cross_validate(matrix, target[:, None], fold_of, exclusive=False, seed=0)
    outcome = Outcome(target[:, None], target[:, None], found.probabilities, Task.MULTILABEL)
    resamples = _RESAMPLES if 2 * size <= 4_000 else 200
    point, spread = bootstrapped(lambda weights: {"auc": roc_auc(outcome, weights)[:, 0]}, 2 * size, resamples, rng)
    return estimate(point["auc"][0], spread["auc"])
