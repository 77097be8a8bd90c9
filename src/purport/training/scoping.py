"""Fits the probability that some label applies, for which most data have no examples of the opposite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..manifest import Scope
from ..model import BoolArray
from ..runtime.scope import SIGNAL_WEIGHTS, standardised

# Learnt from data whose labels were held out in turn, and from validation rows of public data that are out of scope
# (docs/decisions/0025), like the weights. Signals are standardised on validation rows in scope.
_BIAS = 2.5  # where one message in four is out of scope
_CENTERS, _SCALES = (4.0, 0.72, 0.75, 0.86), (2.4, 0.12, 0.13, 0.12)
_ROWS = 10  # validation rows that weigh as much as the centers and scales of other data
# Rows made from templates are all alike, and what people write is not.
_LEAST_SCALE = (0.5, 0.1, 0.1, 0.1)
_PRIOR_STRENGTH = 30.0


def fit_scope(found: NDArray[np.float64], gold: BoolArray, weights: tuple[float, ...] = SIGNAL_WEIGHTS) -> Scope:
    """The scope for validation rows with these ``signals (n, n_signals)`` and labels ``gold (n, n_labels) bool``.

    Centers and scales are those of rows with a label. Without other rows, ``weights`` and bias are those learnt from
    other data. Rows without a label adapt them (logistic regression with a Gaussian prior around them).
    """
    inside: BoolArray = np.asarray(gold.any(axis=1))
    known = found[inside] if inside.any() else found
    share = len(known) / (len(known) + _ROWS)
    centers = share * known.mean(axis=0) + (1 - share) * np.array(_CENTERS)
    scales = np.maximum(share * known.std(axis=0) + (1 - share) * np.array(_SCALES), _LEAST_SCALE)
    theta = np.array([*weights, _BIAS])
    strangers = int((~inside).sum())
    if strangers and inside.any():
        theta = _adapted(standardised(found, centers.tolist(), scales.tolist()), inside, theta)
    return Scope(
        centers=_rounded(centers), scales=_rounded(scales), weights=_rounded(theta[:-1]),
        bias=round(float(theta[-1]), 6), fitted=strangers,
    )  # fmt: skip


def _adapted(found: NDArray[np.float64], inside: BoolArray, prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights and bias with the highest posterior probability; both classes weigh the same."""
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    x, sign = np.column_stack([found, np.ones(len(found))]), np.where(inside, 1.0, -1.0)
    few = min(int(inside.sum()), int((~inside).sum()))
    weight = np.where(inside, few / inside.sum(), few / (~inside).sum())

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (x @ theta)
        pull = theta - prior
        value = -(weight * log_expit(margin)).sum() + 0.5 * _PRIOR_STRENGTH * (pull @ pull)
        return float(value), -(x * (weight * sign * expit(-margin))[:, None]).sum(axis=0) + _PRIOR_STRENGTH * pull

    bounds = [(0, None)] * found.shape[1] + [(None, None)]
    best: NDArray[np.float64] = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds).x
    return best


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
