"""What is fitted on validation rows once a model is trained: the temperature and the thresholds."""

from __future__ import annotations

import numpy as np

from ..labels import Task
from ..manifest import Temperature
from ..model import BoolArray, FloatArray
from ..runtime.decision import DEFAULT_THRESHOLD

_TEMPERATURES = (0.05, 20.0)


def fit_temperature(logits: FloatArray, gold: BoolArray, task: Task) -> Temperature:
    """The temperature with the least negative log-likelihood of ``gold`` (Guo et al. 2017, §4.2).

    One number for all labels: rare labels have too few validation rows for numbers of their own. For
    multilabel the likelihood is that of independent labels. A temperature never changes which label is
    likeliest. On separable data the optimum is unbounded; the search stops at its bounds.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_expit, log_softmax

    scores = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = scores / np.exp(log_temperature)
        if task is Task.MULTILABEL:
            return float(-log_expit(np.where(gold, scaled, -scaled)).sum())
        return float(-log_softmax(scaled, axis=1)[gold].sum())

    # Convex in 1 / temperature, so that there is one minimum at most between the bounds.
    found = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded", options={"xatol": 1e-7})
    return Temperature(temperature=round(float(np.exp(found.x)), 5))


def fit_thresholds(probabilities: FloatArray, gold: BoolArray, *, min_gain: int) -> tuple[float, ...]:
    """One threshold per label, from these rows: 0.5, unless another one decides clearly more rows right.

    For calibrated probabilities 0.5 makes the fewest errors. A label's threshold moves to where it makes
    the fewest here (midway between two probabilities, the nearest to 0.5 of equally good ones) only if that
    is at least ``min_gain`` rows fewer: a handful of validation rows would otherwise move it by chance.
    """
    return tuple(_threshold(probabilities[:, label], gold[:, label], min_gain) for label in range(gold.shape[1]))


def _threshold(probability: FloatArray, gold: BoolArray, min_gain: int) -> float:
    distinct, at = np.unique(probability, return_inverse=True)
    # A cut below all of them makes an error of each negative; each value it passes adds its positives
    # to the errors and takes its negatives away. errors[k]: of a cut between distinct[k] and the next.
    errors = (~gold).sum() + np.cumsum(np.bincount(at, weights=np.where(gold, 1, -1)))[:-1]
    now = int(((probability >= DEFAULT_THRESHOLD) != gold).sum())
    if not len(errors) or now - errors.min() < min_gain:
        return DEFAULT_THRESHOLD
    low, high = distinct[:-1], distinct[1:]
    middle = (low + high) / 2
    # Between two neighbouring float32 there is no third: then the upper one is the cut.
    cuts = np.where(middle > low, middle, high)[errors == errors.min()]
    return float(cuts[np.abs(cuts - DEFAULT_THRESHOLD).argmin()])
