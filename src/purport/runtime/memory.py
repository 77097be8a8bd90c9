"""The training examples of a bundle as vectors: which of them is nearest to a text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..arrays import Form, read_arrays
from ..contents import is_there, read_json
from ..errors import BundleCorrupt
from ..model import BoolArray, FloatArray

MEMORY_FILE = "memory.npz"
EXAMPLES_FILE = "examples.json"
_COMPARED = 256  # examples of a label that a text is compared with when it is answered
# One step for all coordinates, which are small numbers of unit vectors: they compress to five bits each.
_STEPS = 127
_ARRAYS = {
    "vectors": Form("int8", axes=2),
    "scales": Form("float32"),
    "labels": Form("int32"),
    "offsets": Form("int64"),
    "prints": Form("uint64"),
}
_OPTIONAL = {"rows": Form("int64")}
_SOFT = 0.05  # how far below the nearest example the cosines of others still count
_SHORTEST = 1e-6  # length of a mean vector
_BLOCK = 16_384  # rows that are converted to floats at once


class Neighbour(NamedTuple):
    """A training example: its position in the memory, the cosine of its vector with that of the text, its labels."""

    position: int
    similarity: float
    labels: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Memory:
    """``n`` examples. Vectors are int8, which changes a cosine by 0.002 (standard deviation).

    Attributes:
        vectors: ``(n, width) int8``.
        scales: ``(n,) float32``; ``vectors * scales`` have unit length.
        labels: the labels of all examples, one after the other, as positions in the label set.
        offsets: ``(n + 1,) int64``; the labels of example ``i`` are ``labels[offsets[i]:offsets[i + 1]]``.
        prints: ``(n,) uint64``, the fingerprint of each row (text and labels), to find it in the data.
        texts: the texts, if they are kept.
        rows: ``(n,) int64``, the number of each row in its file, from 1 on; 0 or less if it has none. ``None`` in
            older bundles.
    """

    vectors: NDArray[np.int8]
    scales: FloatArray
    labels: NDArray[np.int32]
    offsets: NDArray[np.int64]
    prints: NDArray[np.uint64]
    texts: tuple[str, ...] | None = None
    rows: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        embedding: FloatArray,
        gold: BoolArray,
        prints: NDArray[np.uint64],
        texts: Sequence[str] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> Self:
        """Remember ``embedding (n, width)``, of unit length, with the labels ``gold (n, n_labels)``."""
        vectors = np.rint(embedding * _STEPS).astype(np.int8)
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
        labels = gold.nonzero()[1].astype(np.int32)
        offsets = np.concatenate([[0], np.cumsum(gold.sum(axis=1))]).astype(np.int64)
        scales = (1 / np.maximum(lengths, 1)).astype(np.float32)
        return cls(vectors, scales, labels, offsets, prints, None if texts is None else tuple(texts), rows)

    def __len__(self) -> int:
        return len(self.scales)

    def save(self, directory: Path) -> None:
        """Write the files that :meth:`load` reads."""
        present = (*_ARRAYS, *(() if self.rows is None else ("rows",)))
        np.savez_compressed(directory / MEMORY_FILE, **{name: getattr(self, name) for name in present})
        if self.texts is not None:
            (directory / EXAMPLES_FILE).write_text(json.dumps(self.texts, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, directory: Path, n_labels: int) -> Self | None:
        """The memory in ``directory``, or ``None`` for a bundle without one.

        Raises:
            BundleCorrupt: a file cannot be read, or does not fit ``n_labels`` labels.
        """
        if not is_there(directory, MEMORY_FILE):
            return None
        found = cls(**read_arrays(directory, MEMORY_FILE, _ARRAYS, _OPTIONAL), texts=_texts(directory))
        if problem := found._problem(n_labels):
            raise BundleCorrupt(directory, MEMORY_FILE, problem)
        return found

    def _problem(self, n_labels: int) -> str | None:
        """What is inconsistent, or ``None``."""
        n = len(self)
        arrays = len(self.vectors) == len(self.prints) == n == len(self.offsets) - 1
        optional = all(each is None or len(each) == n for each in (self.texts, self.rows))
        if not arrays or not optional:
            return "has arrays that do not fit together"
        if not ((self.scales > 0) & (self.scales <= 1)).all():
            return "has a vector that is not of unit length"
        rising = (self.offsets[:-1] <= self.offsets[1:]).all()
        bounded = rising and self.offsets[0] == 0 and self.offsets[-1] == len(self.labels)
        if not bounded or (len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < n_labels):
            return "has labels that the bundle does not have"
        return None

    def labels_of(self, position: int) -> tuple[int, ...]:
        """The labels of an example, as positions in the label set."""
        return tuple(self.labels[self.offsets[position] : self.offsets[position + 1]].tolist())

    def gold(self, n_labels: int) -> BoolArray:
        """The labels of all examples: ``(n, n_labels) bool``."""
        found = np.zeros((len(self), n_labels), dtype=np.bool_)
        found[self._owners, self.labels] = True
        return found

    def members(self, label: int) -> NDArray[np.int64]:
        """The positions of the examples with ``label``."""
        return self._owners[self._by_label[label]] if label in self._by_label else np.empty(0, dtype=np.int64)

    @cached_property
    def _owners(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def _by_label(self) -> dict[int, NDArray[np.intp]]:
        order = np.argsort(self.labels, kind="stable")
        distinct, starts = np.unique(self.labels[order], return_index=True)
        return dict(zip(distinct.tolist(), np.split(order, starts[1:]), strict=True))

    @cached_property
    def _compared(self) -> dict[int, FloatArray]:
        """The vectors of up to 256 examples of each label, evenly spread over its rows."""
        found = {}
        for label in self._by_label:
            rows = self.members(label)
            if len(rows) > _COMPARED:
                rows = rows[np.linspace(0, len(rows) - 1, _COMPARED).astype(np.int64)]
            found[label] = self._floats(rows)
        return found

    def _floats(self, rows: NDArray[np.int64] | slice) -> FloatArray:
        found: FloatArray = self.vectors[rows].astype(np.float32) * self.scales[rows][:, None]
        return found

    def nearest_other(self, embedding: FloatArray, gold: BoolArray) -> FloatArray:
        """The cosine ``(n,) float32`` of each vector with the nearest example whose labels are not ``gold``'s.

        ``gold (n, n_labels) bool``; -1 where there is no such example. By exact search over all examples.
        """
        found = np.full(len(embedding), -1, dtype=np.float32)
        remembered = self.gold(gold.shape[1])
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            same = equal_rows(gold, remembered[block])
            cosine = np.where(same, np.float32(-1), embedding @ self._floats(block).T)
            found = np.maximum(found, cosine.max(axis=1, initial=-1))
        return found

    def reached(self, embedding: FloatArray, least: FloatArray, gold: BoolArray | None = None) -> NDArray[np.int64]:
        """The positions of the examples whose cosine with a vector of ``embedding (n, width)`` is its ``least (n,)``.

        With ``gold (n, n_labels) bool``, only examples whose labels are not those of that vector.
        """
        remembered = None if gold is None else self.gold(gold.shape[1])
        found = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            near = embedding @ self._floats(block).T >= least[:, None]
            if gold is not None and remembered is not None:
                near &= ~equal_rows(gold, remembered[block])
            found.append(np.flatnonzero(near.any(axis=0)) + start)
        return np.concatenate(found)

    def closeness(self, embedding: FloatArray, label: NDArray[np.intp]) -> FloatArray:
        """How close each vector is to the examples of its ``label (n,)``, ``(n, 2) float32``; 0 without any.

        First the similarity to the nearest of them, as a soft maximum of the cosines, 1 + τ·log(mean(exp((cos-1)/τ)))
        with τ = 0.05: the log density of the label by a von Mises-Fisher kernel, in the units of a cosine. Second the
        centrality, the cosine with their mean (Snell et al. 2017). Of a label with more than 256 examples, so many are
        compared.
        """
        found = np.zeros((len(embedding), 2), dtype=np.float32)
        for each in np.unique(label).tolist():
            near = self._compared.get(each)
            if near is not None:
                rows = np.flatnonzero(label == each)
                cosine = embedding[rows] @ near.T
                found[rows, 0] = 1 + _SOFT * np.log(np.exp((cosine - 1) / _SOFT).mean(axis=1))
                # The mean of the cosines is the product with the mean vector.
                found[rows, 1] = cosine.mean(axis=1) / max(float(np.linalg.norm(near.mean(axis=0))), _SHORTEST)
        return found

    def nearest(self, embedding: FloatArray, k: int) -> list[list[Neighbour]]:
        """The ``k`` nearest examples of each vector, nearest first, by exact search over all of them."""
        k = min(k, len(self))
        best = np.full((len(embedding), k), -2, dtype=np.float32)
        at = np.zeros((len(embedding), k), dtype=np.int64)
        for start in range(0, len(self), _BLOCK):
            block = embedding @ self._floats(slice(start, start + _BLOCK)).T
            places = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
            values, places = np.hstack([best, block]), np.hstack([at, places])
            order = np.array([_largest(row, k) for row in values])
            best, at = np.take_along_axis(values, order, 1), np.take_along_axis(places, order, 1)
        return [
            [Neighbour(place, float(value), self.labels_of(place)) for place, value in zip(*row, strict=True)]
            for row in zip(at.tolist(), best.tolist(), strict=True)
        ]

    def nearest_with(self, vector: FloatArray, k: int, label: int, without: int | None = None) -> list[Neighbour]:
        """The ``k`` examples with ``label`` that are nearest to ``vector (width,)``, nearest first.

        Those that also have the label ``without`` are left out.
        """
        rows = self.members(label)
        if without is not None:
            rows = np.setdiff1d(rows, self.members(without), assume_unique=True)
        cosine = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            # The scales are applied to the products: they are fewer than the numbers.
            cosine[start : start + _BLOCK] = (self.vectors[block].astype(np.float32) @ vector) * self.scales[block]
        best = _largest(cosine, k).tolist()
        return [Neighbour(int(rows[at]), float(cosine[at]), self.labels_of(int(rows[at]))) for at in best]


def equal_rows(one: BoolArray, other: BoolArray) -> BoolArray:
    """Whether each row of ``one (n, w)`` is equal to each row of ``other (m, w)``: ``(n, m) bool``."""
    left, right = one.astype(np.float32), other.astype(np.float32)
    common = left @ right.T
    equal: BoolArray = (common == left.sum(axis=1)[:, None]) & (common == right.sum(axis=1)[None, :])
    return equal


def _largest(values: FloatArray, k: int) -> NDArray[np.intp]:
    """The positions of the ``k`` largest of ``values (n,)``, the largest first, of equal ones the first first."""
    found = np.arange(len(values))
    if 0 < k < len(values):
        found = np.flatnonzero(values >= np.partition(values, len(values) - k)[len(values) - k])
    return found[np.argsort(-values[found], kind="stable")][:k]


def _texts(directory: Path) -> tuple[str, ...] | None:
    if not is_there(directory, EXAMPLES_FILE):
        return None
    texts = read_json(directory, EXAMPLES_FILE)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BundleCorrupt(directory, EXAMPLES_FILE, "is not a list of texts")
    return tuple(texts)
