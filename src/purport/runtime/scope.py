"""Whether any label applies to a text: the evidence, and what it adds up to.

Each signal is what a known method goes by; none is best on all data, and together they are better than each alone
(docs/decisions/0025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..labels import Task
from ..manifest import Scope
from ..model import FloatArray
from ..prediction import Reason
from .memory import Memory

SIGNALS = ("sureness", "similarity", "centrality", "familiarity")
"""The evidence for a label, in this order; more is better.

``sureness``: log odds of the likeliest label, without calibration (Hendrycks & Gimpel 2017).
``similarity``: to the nearest training examples of the likeliest label, and
``centrality``: to their mean, both of :meth:`.Memory.closeness`.
``familiarity``: share of words that occur in the training texts.
"""
SIGNAL_WEIGHTS = (0.2, 0.75, 0.5, 0.2)
"""What each of the :data:`SIGNALS` weighs where vectors are those of an encoder (docs/decisions/0025)."""
# Which signals, together, speak against a text.
_REASONS: Mapping[Reason, list[int]] = {"between_labels": [0], "unlike_any_example": [1, 2], "unfamiliar_words": [3]}
_SUREST = 12.0
_BOUNDS = (-8.0, 4.0)


def signals(
    logits: FloatArray, embedding: FloatArray, familiar: FloatArray | None, task: Task, memory: Memory
) -> NDArray[np.float64]:
    """The :data:`SIGNALS` of ``n`` texts: ``(n, 4) float64``."""
    closeness = memory.closeness(embedding, logits.argmax(axis=1))
    known = np.ones(len(logits)) if familiar is None else familiar
    return np.column_stack([_sureness(logits.astype(np.float64), task), closeness, known])


def _sureness(logits: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
    best = logits.max(axis=1)
    if task is Task.MULTICLASS and logits.shape[1] > 1:
        # log(p / (1 - p)) of a softmax: the highest logit minus the log of the summed exponentials of the others.
        others = np.exp(logits - best[:, None]).sum(axis=1) - 1
        best = -np.log(np.maximum(others, np.exp(-_SUREST)))
    clipped: NDArray[np.float64] = np.clip(best, -_SUREST, _SUREST)
    return clipped


def evidence(found: NDArray[np.float64], scope: Scope) -> NDArray[np.float64]:
    """What each signal adds to the log odds of "in scope", ``(n, n_signals) float64``: negative speaks against it."""
    added: NDArray[np.float64] = np.array(scope.weights) * standardised(found, scope.centers, scope.scales)
    return added


def standardised(found: NDArray[np.float64], centers: Sequence[float], scales: Sequence[float]) -> NDArray[np.float64]:
    """Signals in standard deviations of texts in scope, bounded so that none outweighs all others."""
    bounded: NDArray[np.float64] = np.clip((found - np.array(centers)) / np.array(scales), *_BOUNDS)
    return bounded


def in_scope(evident: NDArray[np.float64], scope: Scope) -> FloatArray:
    """The probability ``(n,) float32`` that some label applies, from :func:`evidence`: logistic regression."""
    odds = scope.bias + evident.sum(axis=1)
    probability: FloatArray = (0.5 * (1 + np.tanh(0.5 * odds))).astype(np.float32)
    return probability


def likeliest(probabilities: FloatArray) -> FloatArray:
    """The score ``(n,) float32`` of a bundle without memory, from ``probabilities (n, n_labels)``.

    It is the probability of the most likely label, which is a lower bound, and the usual score if nothing else is known
    (Hendrycks & Gimpel 2017).
    """
    best: FloatArray = np.maximum.reduce(probabilities, axis=1, initial=0.0)
    return best


def weakest(evident: FloatArray) -> Reason:
    """Why a text may be out of scope, from its row of :func:`evidence`: what speaks most against it."""
    return min(_REASONS, key=lambda reason: float(evident[_REASONS[reason]].sum()))
