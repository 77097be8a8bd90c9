"""The examples that a bundle learned from and that are most similar to a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..model import FloatArray
from ..prediction import SimilarExample
from .memory import Memory, Neighbour
from .taught_vectors import TaughtVectors


def similar(
    embedding: FloatArray, k: int, memory: Memory, taught: TaughtVectors | None, names: Sequence[str]
) -> list[tuple[SimilarExample, ...]]:
    """The ``k`` examples of ``memory`` and ``taught`` nearest to each vector, nearest first; labels are ``names``."""
    found = [[_remembered(each, memory, names) for each in row] for row in memory.nearest(embedding, k)]
    if taught is not None:
        cosine = np.minimum(embedding @ taught.vectors.T, 1)
        for row, values in zip(found, cosine, strict=True):
            row[:0] = [_taught(at, float(values[at]), taught, names) for at in np.flatnonzero(taught.active).tolist()]
    return [tuple(sorted(row, key=lambda each: -each.similarity)[:k]) for row in found]


def similar_with(
    vector: FloatArray,
    k: int,
    memory: Memory,
    taught: TaughtVectors | None,
    names: Sequence[str],
    label: int,
    without: int | None = None,
) -> tuple[SimilarExample, ...]:
    """The same for one ``vector (width,)``, of the examples that have ``label`` and not the label ``without``."""
    row = [_remembered(each, memory, names) for each in memory.nearest_with(vector, k, label, without)]
    if taught is not None:
        fits = taught.active & taught.gold[:, label]
        if without is not None:
            fits &= ~taught.gold[:, without]
        cosine = np.minimum(taught.vectors @ vector, 1)
        row[:0] = [_taught(at, float(cosine[at]), taught, names) for at in np.flatnonzero(fits).tolist()]
    return tuple(sorted(row, key=lambda each: -each.similarity)[:k])


def _remembered(neighbour: Neighbour, memory: Memory, names: Sequence[str]) -> SimilarExample:
    at = neighbour.position
    return SimilarExample(
        tuple(names[label] for label in neighbour.labels),
        min(neighbour.similarity, 1.0),
        int(memory.rows[at]) if memory.rows is not None and memory.rows[at] > 0 else None,
        memory.texts[at] if memory.texts is not None else None,
    )


def _taught(at: int, similarity: float, taught: TaughtVectors, names: Sequence[str]) -> SimilarExample:
    labels = tuple(names[label] for label in np.flatnonzero(taught.gold[at]).tolist())
    return SimilarExample(labels, similarity, text=taught.texts[at] if taught.texts else None, taught=True)
