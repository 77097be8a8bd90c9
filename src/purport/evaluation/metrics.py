"""Metrics of intent classification, computed for many weightings of the same rows at once.

A bootstrap needs every metric a thousand times. Each function therefore takes ``weights (n_resamples, n)``, how often
each row counts in each resample (all ones give the plain metric), and returns ``(n_resamples,)`` or ``(n_resamples,
n_labels)``. Undefined values are NaN, and labels without positives are excluded from averages over labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..labels import Task
from ..model import BoolArray
from .confidence import decided_calibration_error, expected_calibration_error, top_label_calibration_error
from .outcome import Outcome, Values, Weights, ratio

_SMALLEST = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Counts:
    """Weighted counts per label, each ``(n_resamples, n_labels)``."""

    hits: Values
    support: Values
    predicted: Values

    @classmethod
    def of(cls, outcome: Outcome, weights: Weights) -> Counts:
        """Count the rows of ``outcome`` with ``weights``."""
        return cls(
            weights @ (outcome.gold & outcome.decided),
            weights @ outcome.gold.astype(np.float64),
            weights @ outcome.decided.astype(np.float64),
        )


def per_label(counts: Counts) -> dict[str, Values]:
    """precision, recall and F1 per label; NaN where the label has no positives."""
    found = {
        "precision": np.nan_to_num(ratio(counts.hits, counts.predicted)),
        "recall": ratio(counts.hits, counts.support),
        "f1": ratio(2 * counts.hits, counts.support + counts.predicted),
    }
    return {name: np.where(counts.support > 0, values, np.nan) for name, values in found.items()}


def _over_labels(values: Values, support: Values) -> dict[str, Values]:
    """Unweighted and support-weighted means over the labels for which ``values`` is defined."""
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    weight = np.where(defined, support, 0.0)
    return {
        "macro": ratio(filled.sum(axis=1), defined.sum(axis=1)),
        "weighted": ratio((filled * weight).sum(axis=1), weight.sum(axis=1)),
    }


def _mean_over_rows(values: Values, weights: Weights) -> Values:
    """Weighted mean of one value per row, excluding rows where it is NaN."""
    defined = ~np.isnan(values)
    return ratio(weights @ np.where(defined, values, 0.0), weights @ defined.astype(np.float64))


def all_metrics(outcome: Outcome, weights: Weights) -> dict[str, Values]:
    """Every metric of the task, each ``(n_resamples,)``."""
    counts = Counts.of(outcome, weights)
    of_task = _multilabel if outcome.task is Task.MULTILABEL else _multiclass
    metrics = averaged(counts) | of_task(outcome, counts, weights)
    metrics["roc_auc_macro"] = _over_labels(roc_auc(outcome, weights), counts.support)["macro"]
    metrics |= out_of_scope(outcome, weights)
    metrics["decided_calibration_error"] = decided_calibration_error(outcome, weights)
    metrics["top_label_calibration_error"] = top_label_calibration_error(outcome, weights)
    metrics["expected_calibration_error"] = expected_calibration_error(outcome, weights)
    return metrics


def averaged(counts: Counts) -> dict[str, Values]:
    """Precision, recall and F1 over all labels: micro, macro and weighted, each ``(n_resamples,)``."""
    hits, support, predicted = (part.sum(axis=1) for part in (counts.hits, counts.support, counts.predicted))
    metrics = {
        "precision_micro": ratio(hits, predicted),
        "recall_micro": ratio(hits, support),
        "f1_micro": ratio(2 * hits, support + predicted),
    }
    for name, values in per_label(counts).items():
        for average, mean in _over_labels(values, counts.support).items():
            metrics[f"{name}_{average}"] = mean
    return metrics


def _multilabel(outcome: Outcome, counts: Counts, weights: Weights) -> dict[str, Values]:
    gold, decided = outcome.gold, outcome.decided
    hits = (gold & decided).sum(axis=1).astype(np.float64)
    wanted, given = gold.sum(axis=1), decided.sum(axis=1)
    nothing = (wanted == 0) & (given == 0)  # deciding no label is right here, and scores 1

    def rows(below: NDArray[np.int_], factor: int = 1) -> Values:
        return np.where(nothing, 1.0, factor * hits / np.maximum(below, 1))

    unions = counts.support + counts.predicted - counts.hits
    jaccard = np.where(counts.support > 0, ratio(counts.hits, unions), np.nan)
    over_labels = _over_labels(jaccard, counts.support)
    return {
        "precision_samples": _mean_over_rows(rows(given), weights),
        "recall_samples": _mean_over_rows(rows(wanted), weights),
        "f1_samples": _mean_over_rows(rows(wanted + given, 2), weights),
        "subset_accuracy": _mean_over_rows((gold == decided).all(axis=1).astype(np.float64), weights),
        "hamming_loss": _mean_over_rows((gold != decided).mean(axis=1), weights),
        "jaccard_micro": ratio(counts.hits.sum(axis=1), unions.sum(axis=1)),
        "jaccard_macro": over_labels["macro"],
        "jaccard_weighted": over_labels["weighted"],
        "jaccard_samples": _mean_over_rows(rows((gold | decided).sum(axis=1)), weights),
        "average_precision_macro": _over_labels(average_precision(outcome, weights), counts.support)["macro"],
        "coverage_error": _mean_over_rows(_coverage(outcome), weights),
        "ranking_loss": _mean_over_rows(_ranking_loss(outcome), weights),
    }


def _multiclass(outcome: Outcome, counts: Counts, weights: Weights) -> dict[str, Values]:
    gold_none, decided_none = _without_label(outcome.gold), _without_label(outcome.decided)

    def with_none(values: Values, rows: BoolArray) -> Values:
        """``values`` per label, and the weight of ``rows``: no label is a class of its own."""
        return np.concatenate([values, (weights @ rows)[:, None]], axis=1)

    hits = with_none(counts.hits, gold_none & decided_none)
    support, predicted = with_none(counts.support, gold_none), with_none(counts.predicted, decided_none)
    total, agreed = weights.sum(axis=1), hits.sum(axis=1)
    chance = (predicted * support).sum(axis=1)
    spread = (total**2 - (predicted**2).sum(axis=1)) * (total**2 - (support**2).sum(axis=1))
    gold_probability = np.where(outcome.gold, outcome.probabilities, 0.0).max(axis=1).astype(np.float64)
    surprise = np.where(gold_none, np.nan, -np.log(np.clip(gold_probability, _SMALLEST, 1.0)))
    return {
        "accuracy": agreed / total,
        "balanced_accuracy": _over_labels(ratio(hits, support), support)["macro"],
        # Cohen (1960), from the marginals of the confusion matrix.
        "cohen_kappa": ratio(agreed * total - chance, total**2 - chance),
        # Gorodkin (2004): the multiclass correlation coefficient.
        "matthews_correlation": ratio(agreed * total - chance, np.sqrt(np.maximum(spread, 0.0))),
        "log_loss": _mean_over_rows(surprise, weights),
    }


def _without_label(labels: BoolArray) -> BoolArray:
    return np.asarray(~labels.any(axis=1))


def out_of_scope(outcome: Outcome, weights: Weights) -> dict[str, Values]:
    """Precision and recall of deciding no label, and the shares of rows without a gold and without a decided label.

    Precision is undefined where every row gets a label, recall where every row has one.
    """
    gold, decided = _without_label(outcome.gold), _without_label(outcome.decided)
    hits, support, given = weights @ (gold & decided), weights @ gold, weights @ decided
    total = weights.sum(axis=1)
    return {
        "out_of_scope_precision": ratio(hits, given),
        "out_of_scope_recall": ratio(hits, support),
        "out_of_scope_gold": support / total,
        "out_of_scope_decided": given / total,
    }


def _coverage(outcome: Outcome) -> Values:
    """How far down the ranking of each row its last gold label is (Tsoumakas et al. 2010)."""
    lowest = np.where(outcome.gold, outcome.probabilities, np.inf).min(axis=1, keepdims=True)
    depth = (outcome.probabilities >= lowest).sum(axis=1).astype(np.float64)
    return np.where(outcome.gold.any(axis=1), depth, np.nan)


def _ranking_loss(outcome: Outcome) -> Values:
    """Share of (gold, non-gold) label pairs that each row ranks in the wrong order, ties included."""
    losses = np.full(len(outcome), np.nan)
    for row in np.flatnonzero(outcome.gold.any(axis=1) & ~outcome.gold.all(axis=1)):
        gold, scores = outcome.gold[row], outcome.probabilities[row]
        losses[row] = (scores[gold][:, None] <= scores[~gold][None, :]).mean()
    return losses


def _by_score(outcome: Outcome, weights: Weights) -> Iterator[tuple[Values, Values]]:
    """For each label, the positive and negative weight at falling scores: ``(n_scores, n_resamples)``.

    Scores between two positives that only negatives have are taken together: no curve bends there.
    """
    by_row = np.ascontiguousarray(weights.T)  # rows that are drawn in order lie together in memory
    for scores, gold in zip(outcome.probabilities.T, outcome.gold.T, strict=True):
        order = np.argsort(-scores, kind="stable")
        falling, positives = -scores[order], np.flatnonzero(gold[order])
        # Where the score of each positive begins and ends, ties included.
        ends = [np.searchsorted(falling, falling[positives], side) for side in ("left", "right")]
        starts = np.unique(np.concatenate([[0], *ends]))
        starts = starts[starts < len(order)]
        every = np.add.reduceat(by_row[order], starts, axis=0)
        positive = np.zeros_like(every)
        if len(positives):
            at = np.searchsorted(starts, positives, "right") - 1
            first = np.flatnonzero(np.diff(at, prepend=-1))
            positive[at[first]] = np.add.reduceat(by_row[order[positives]], first, axis=0)
        yield positive, every - positive


def roc_auc(outcome: Outcome, weights: Weights) -> Values:
    """Area under the ROC curve of each label against the rest; NaN without positives or negatives."""
    areas = []
    for positive, negative in _by_score(outcome, weights):
        won = (negative * (np.cumsum(positive, axis=0) - positive / 2)).sum(axis=0)
        areas.append(ratio(won, positive.sum(axis=0) * negative.sum(axis=0)))
    return np.stack(areas, axis=1)


def average_precision(outcome: Outcome, weights: Weights) -> Values:
    """Mean precision over the recall steps of each label, without interpolation; NaN without positives."""
    means = []
    for positive, negative in _by_score(outcome, weights):
        hits = np.cumsum(positive, axis=0)
        precision = np.nan_to_num(ratio(hits, hits + np.cumsum(negative, axis=0)))
        means.append(ratio((positive * precision).sum(axis=0), positive.sum(axis=0)))
    return np.stack(means, axis=1)
