"""Shares the log odds out between the words by their Shapley values, exactly or from a sample of orders."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..model import BoolArray
from .explainer import Weighed, Weights
from .question import Question

_SEED = 0
_LEAST_PAIRS = 2  # two give a standard error
_MOST_EXACT = 12  # units: 4,096 texts
_NOTE = (
    "A weight is what the word adds to the log odds of the label, on average over all orders in which the words could "
    "be put together; base and weights add up to the value of the text."
)


class Shapley:
    """Shapley values (Shapley 1953), exact where all combinations of words fit into the calls.

    Otherwise they are estimated from random orders (Castro et al. 2009), in pairs of an order and its reverse, which
    vary less at the same price (Mitchell et al. 2022). The weights of each order add up to the difference between text
    and no text, and so does their mean.
    """

    calls = 512
    served = True

    def unfit(self, bundle: Bundle) -> str | None:
        """See :class:`.Explainer`: any bundle can be asked."""
        return None

    def units(self, calls: int) -> int:
        """See :class:`.Explainer`: two pairs of orders must fit."""
        return max(1, (calls - 1) // (2 * _LEAST_PAIRS) + 1)

    def plan(self, n: int, calls: int) -> BoolArray:
        """See :class:`.Explainer`: all combinations, or for each of the orders its beginnings, the empty one first."""
        if _is_exact(n, calls):
            return _combinations(n)
        orders = _orders(n, calls)
        kept = np.zeros((*orders.shape[:2], n + 1, n), dtype=np.bool_)
        for step in range(n):
            kept[:, :, step + 1 :] |= (np.arange(n) == orders[:, :, step, None])[:, :, None, :]
        return kept.reshape(-1, n)

    def __call__(self, question: Question, label: int, calls: int) -> Weighed:
        """See :class:`.Explainer`. The sample is the same for each text of as many units."""
        n = len(question.units)
        values = question.values(self.plan(n, calls), label)
        if _is_exact(n, calls):
            return Weighed(_exactly(values, n), "log_odds", float(values[-1]), float(values[0]), np.zeros(n), _NOTE)
        orders = _orders(n, calls)
        values = values.reshape(*orders.shape[:2], n + 1)
        weights = np.zeros((*orders.shape[:2], n))
        np.put_along_axis(weights, orders, np.diff(values, axis=2), axis=2)
        pairs = weights.mean(axis=1)
        errors = pairs.std(axis=0, ddof=1) / math.sqrt(len(pairs))
        full, base = float(values[0, 0, -1]), float(values[0, 0, 0])
        return Weighed(pairs.mean(axis=0), "log_odds", full, base, errors, _NOTE)


def _is_exact(n: int, calls: int) -> bool:
    return n <= _MOST_EXACT and 2**n - 1 <= calls


def _combinations(n: int) -> BoolArray:
    """All combinations ``(2 ** n, n) bool``; combination ``i`` has unit ``k`` if bit ``k`` of ``i`` is set."""
    found: BoolArray = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.bool_)
    return found


def _exactly(values: NDArray[np.float64], n: int) -> Weights:
    """The Shapley values ``(n,)`` from the values ``(2 ** n,)`` of all :func:`_combinations`."""
    every, sizes = np.arange(2**n), _combinations(n).sum(axis=1)
    share = np.array([1 / (n * math.comb(n - 1, size)) for size in range(n)])
    found = np.zeros(n)
    for unit in range(n):
        lacks = every[(every >> unit & 1) == 0]
        found[unit] = (share[sizes[lacks]] * (values[lacks | 1 << unit] - values[lacks])).sum()
    return found


def _orders(n: int, calls: int) -> NDArray[np.int64]:
    """Pairs of an order and its reverse, ``(n_pairs, 2, n) int64``, as many as fit into ``calls``."""
    # No text is asked once for all, the whole text was asked already, and each order has n - 1 texts between.
    pairs = max(_LEAST_PAIRS, (calls - 1) // (2 * (n - 1)))
    random = np.random.default_rng(_SEED)
    forward = np.array([random.permutation(n) for _ in range(pairs)], dtype=np.int64)
    return np.stack([forward, forward[:, ::-1]], axis=1)


SHAPLEY = Shapley()
