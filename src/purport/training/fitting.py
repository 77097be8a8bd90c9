"""Fits the temperature and the thresholds on validation rows, after a model is trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..labels import Task
from ..manifest import Temperature
from ..model import BoolArray, FloatArray
from ..runtime.decision import DEFAULT_THRESHOLD

_ROUNDING = 1e-4


def fit_temperature(logits: FloatArray, gold: BoolArray, task: Task) -> Temperature:
    """The temperature with the least negative log-likelihood of ``gold`` (Guo et al. 2017, §4.2).

    All labels share one temperature, because rare labels have too few validation rows for their own. For multilabel,
    the likelihood assumes independent labels. A temperature never changes which label is most likely.

    Gold labels count as the estimate of their probability after so many rows, (n + 1) / (n + 2), and not as certain
    (Platt 1999, §2.2): otherwise a model without an error on a few rows would promise that it never makes one.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_expit, log_softmax

    scores, target = logits.astype(np.float64), _targets(gold, task)

    def loss(log_temperature: float) -> float:
        scaled = scores / np.exp(log_temperature)
        if task is Task.MULTILABEL:
            return float(-(target * log_expit(scaled) + (1 - target) * log_expit(-scaled)).sum())
        return float(-(target * log_softmax(scaled, axis=1)).sum())

    # The loss is convex in 1 / temperature, so that there is at most one minimum between the bounds.
    found = minimize_scalar(loss, bounds=np.log(Temperature.searched), method="bounded", options={"xatol": 1e-7})
    return Temperature(temperature=round(float(np.exp(found.x)), 5))


def _targets(gold: BoolArray, task: Task) -> NDArray[np.float64]:
    """The probabilities ``(n, n_labels)`` that stand for gold labels; all 0 in a multiclass row without a label."""
    if task is Task.MULTILABEL:
        yes = int(gold.sum())
        return np.where(gold, (yes + 1) / (yes + 2), 1 / (gold.size - yes + 2))
    rows = int(gold.any(axis=1).sum())
    others = max(gold.shape[1] - 1, 1)
    sure = (rows + 1) / (rows + 2) if gold.shape[1] > 1 else 1.0
    spread = np.where(gold, sure, (1 - sure) / others)
    return np.where(gold.any(axis=1, keepdims=True), spread, 0.0)


def fit_thresholds(probabilities: FloatArray, gold: BoolArray, *, min_gain: int) -> tuple[float, ...]:
    """One threshold per label: 0.5, unless another threshold makes clearly fewer errors on these rows.

    With calibrated probabilities, 0.5 is expected to make the fewest errors. A label's threshold moves to the value
    with the fewest errors here (midway between two probabilities; of equally good ones, the nearest to 0.5) only if
    that avoids at least ``min_gain`` errors. Otherwise a handful of validation rows could move it by chance.
    """
    return tuple(_threshold(probabilities[:, label], gold[:, label], min_gain) for label in range(gold.shape[1]))


def _threshold(probability: FloatArray, gold: BoolArray, min_gain: int) -> float:
    distinct, at = np.unique(probability, return_inverse=True)
    # A cut below all values makes every negative an error. Moving it past a value adds that value's positives to the
    # errors and removes its negatives. errors[k] belongs to a cut between distinct[k] and distinct[k + 1].
    errors = (~gold).sum() + np.cumsum(np.bincount(at, weights=np.where(gold, 1, -1)))[:-1]
    now = int(((probability >= DEFAULT_THRESHOLD) != gold).sum())
    if not len(errors) or now - errors.min() < min_gain:
        return DEFAULT_THRESHOLD
    low, high = distinct[:-1], distinct[1:]
    middle = (low + high) / 2
    # Between two adjacent float32 values there is no third, so the upper one is the cut.
    cuts = np.where(middle > low, middle, high)[errors == errors.min()]
    return float(cuts[np.abs(cuts - DEFAULT_THRESHOLD).argmin()])


def fit_rejection(score: FloatArray, right: BoolArray, none: BoolArray, *, keep: float) -> float:
    """The ``score (n,)`` below which an answer is rejected as out of scope.

    If there are rows without a gold label (``none (n,)``), it is the one with which most rows are right: those whose
    labels are ``right (n,)`` answered, those without any rejected (of equally good ones, the middle). Otherwise it is
    the highest one that keeps the share ``keep`` of the right answers, but not above 0.5: an answer that is more likely
    right than wrong is given. It is midway between the scores of two rows, or a little below the lowest of all.
    """
    kept, strange = np.sort(score[right]), np.sort(score[none])
    if not len(kept):
        return 0.0
    cuts = np.unique(score)
    if len(strange):
        gained = np.searchsorted(strange, cuts) + len(kept) - np.searchsorted(kept, cuts)
        equal = cuts[gained == gained.max()]
        lowest = equal[len(equal) // 2]
    else:
        lowest = min(kept[int(np.floor((1 - keep) * len(kept) + 1e-9))], np.float32(DEFAULT_THRESHOLD))
    below = cuts[cuts < lowest]
    if not len(below):
        return float(lowest) * (1 - _ROUNDING)
    middle = (float(below[-1]) + float(lowest)) / 2
    # Between two adjacent float32 values there is no third, so the upper one is the cut.
    return middle if np.float32(middle) > below[-1] else float(lowest)
