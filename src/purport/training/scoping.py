"""Fits the probability that some label applies, for which most data have no examples of the opposite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..manifest import Scope
from ..model import BoolArray
from ..runtime.scope import standardised

# Learnt from data whose labels were held out in turn, and corrected on validation rows of public data that are out of
# scope (docs/decisions/0025). Signals are standardised on validation rows in scope.
_WEIGHTS = (0.8, 0.95, 0.2)
_BIAS = 2.4  # where one message in four is out of scope; it was 1.3 for as many of both
_CENTERS, _SCALES = (4.0, 0.78, 0.86), (2.4, 0.13, 0.12)
_ROWS = 10  # validation rows that weigh as much as the centers and scales of other data
_LEAST_SCALE = (0.5, 0.02, 0.05)
_PRIOR_STRENGTH = 30.0


def fit_scope(found: NDArray[np.float64], gold: BoolArray) -> Scope:
    """The scope for validation rows with these ``signals (n, n_signals)`` and labels ``gold (n, n_labels) bool``.

    Centers and scales are those of rows with a label. Without other rows, weights and bias are those learnt from other
    data. Rows without a label adapt them (logistic regression with a Gaussian prior around them).
    """
    inside: BoolArray = np.asarray(gold.any(axis=1))
    known = found[inside] if inside.any() else found
    share = len(known) / (len(known) + _ROWS)
    centers = share * known.mean(axis=0) + (1 - share) * np.array(_CENTERS)
    scales = np.maximum(share * known.std(axis=0) + (1 - share) * np.array(_SCALES), _LEAST_SCALE)
    weights, bias = np.array(_WEIGHTS), _BIAS
    strangers = int((~inside).sum())
    if strangers and inside.any():
        weights, bias = _adapted(standardised(found, centers.tolist(), scales.tolist()), inside)
    return Scope(
        centers=_rounded(centers), scales=_rounded(scales), weights=_rounded(weights), bias=round(float(bias), 6),
        fitted=strangers,
    )  # fmt: skip


def _adapted(found: NDArray[np.float64], inside: BoolArray) -> tuple[NDArray[np.float64], float]:
    """Weights and bias with the highest posterior probability; both classes weigh the same."""
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    prior = np.array([*_WEIGHTS, _BIAS])
    x, sign = np.column_stack([found, np.ones(len(found))]), np.where(inside, 1.0, -1.0)
    few = min(int(inside.sum()), int((~inside).sum()))
    weight = np.where(inside, few / inside.sum(), few / (~inside).sum())

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (x @ theta)
        pull = theta - prior
        value = -(weight * log_expit(margin)).sum() + 0.5 * _PRIOR_STRENGTH * (pull @ pull)
        return float(value), -(x * (weight * sign * expit(-margin))[:, None]).sum(axis=0) + _PRIOR_STRENGTH * pull

    theta = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(_WEIGHTS) + [(None, None)]).x
    return theta[:-1], float(theta[-1])


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
