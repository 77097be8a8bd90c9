"""What the rows most like a row say about its labels: a second opinion beside the linear model's."""

from __future__ import annotations

import numpy as np

from ..data.table import Positions
from ..model import FloatArray
from .examination import Examination

_NEIGHBOURS = 10
_LARGEST_POOL = 20_000  # training rows to search; of larger datasets, as many are drawn
_BLOCK = 256  # rows compared at once


def neighbour_votes(examination: Examination, positions: Positions) -> FloatArray:
    """The share of the ten nearest training rows that have each label: ``(n_positions, n_labels) float32``.

    Nearest by cosine of TF-IDF, and weighted by it; rows with the same normal form are no neighbours.
    """
    examination.say("comparing with the nearest rows")
    table, pool = examination.table, examination.training
    if len(pool) > _LARGEST_POOL:
        pool = np.random.default_rng(examination.seed).choice(pool, _LARGEST_POOL, replace=False)
    gold, others = examination.gold(pool), examination.features[pool].T.tocsr()
    forms = np.array([hash(form) for form in table.forms])
    votes = np.zeros((len(positions), gold.shape[1]), dtype=np.float32)
    for start in range(0, len(positions), _BLOCK):
        rows = positions[start : start + _BLOCK]
        likeness = (examination.features[rows] @ others).toarray()
        likeness[forms[rows, None] == forms[pool]] = 0.0
        near = np.argpartition(-likeness, min(_NEIGHBOURS, len(pool) - 1), axis=1)[:, :_NEIGHBOURS]
        weights = np.take_along_axis(likeness, near, axis=1)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        votes[start : start + _BLOCK] = np.einsum("rn,rnl->rl", weights, gold[near].astype(np.float32))
    return votes
