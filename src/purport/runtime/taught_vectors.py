"""How examples that were taught after the training change answers: near them, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..arrays import Form, read_arrays
from ..contents import is_there
from ..errors import BundleCorrupt
from ..labels import Task
from ..model import BoolArray, FloatArray
from ..taught import Taught
from ..text import normal_form

VECTORS_FILE = "taught.npz"
_ARRAYS = {"vectors": Form("float32", axes=2), "gold": Form("bool", axes=2), "reach": Form("float32")}
# The probability that a taught label has at its example, and so the largest weight of an example.
_SURE = 0.99
# Half the width of the range of cosines in which the weight rises from 0 to 1: at most this, and at most this share of
# what is left to a cosine of 1. So it begins above the nearest example with other labels (see fitting_reach).
_HALF_WIDTH, _HALF_SHARE = 0.01, 0.1
# Share of the way and least cosine of a reach; of one for labels that were begun by teaching. Chosen on validation rows
# with benchmarks/teaching.py --choose (docs/decisions/0027).
_REACH, _WIDE = (0.5, 0.75), (0.1, 0.6)
# A coordinate of a vector of unit length, with what rounding adds.
_LONGEST = 1.001
# Vectors this near are those of one text, written differently at most.
_LAST = 0.9995


@dataclass(frozen=True, eq=False)
class TaughtVectors:
    """``k`` taught examples.

    Attributes:
        vectors: ``(k, width) float32`` of unit length, as the model sees the texts.
        gold: ``(k, n_labels) bool``; a row without a label means that no label applies.
        reach: ``(k,) float32``, the cosine at which an example has half its weight.
        texts: what was taught, to show it.
    """

    vectors: FloatArray
    gold: BoolArray
    reach: FloatArray
    texts: tuple[str, ...] = ()

    @classmethod
    def none(cls, width: int, n_labels: int) -> Self:
        """Nothing taught yet."""
        return cls(
            np.empty((0, width), dtype=np.float32),
            np.empty((0, n_labels), dtype=np.bool_),
            np.empty(0, dtype=np.float32),
        )

    def __len__(self) -> int:
        return len(self.reach)

    @property
    def n_labels(self) -> int:
        """The number of labels, those begun by teaching included."""
        return int(self.gold.shape[1])

    def first_labels(self, n_labels: int) -> Self:
        """The same examples with the first ``n_labels`` labels; of labels that are new there is no example."""
        return self.first(len(self), n_labels)

    def first(self, k: int, n_labels: int) -> Self:
        """The first ``k`` examples, with the first ``n_labels`` labels."""
        gold = np.zeros((k, n_labels), dtype=np.bool_)
        shared = min(n_labels, self.n_labels)
        gold[:, :shared] = self.gold[:k, :shared]
        return replace(self, vectors=self.vectors[:k], gold=gold, reach=self.reach[:k], texts=self.texts[:k])

    def followed_by(self, other: TaughtVectors) -> Self:
        """These examples, and then those of ``other``."""
        return replace(
            self,
            vectors=np.concatenate([self.vectors, other.vectors]),
            gold=np.concatenate([self.gold, other.gold]),
            reach=np.concatenate([self.reach, other.reach]),
            texts=(*self.texts, *other.texts),
        )

    def save(self, directory: Path) -> None:
        """Write the file that :meth:`load` reads."""
        np.savez(directory / VECTORS_FILE, vectors=self.vectors, gold=self.gold, reach=self.reach)

    @classmethod
    def load(cls, directory: Path, n_labels: int) -> Self | None:
        """The examples in ``directory``, or ``None`` if nothing was taught.

        Raises:
            BundleCorrupt: the file cannot be read, or does not fit ``n_labels`` labels.
        """
        if not is_there(directory, VECTORS_FILE):
            return None
        texts = tuple(example.text for example in Taught.load(directory).examples)
        found = cls(**read_arrays(directory, VECTORS_FILE, _ARRAYS), texts=texts)
        if problem := found._problem(n_labels):
            raise BundleCorrupt(directory, VECTORS_FILE, problem)
        return found

    def _problem(self, n_labels: int) -> str | None:
        """What is inconsistent, or ``None``."""
        if not len(self.vectors) == len(self.gold) == len(self.reach) == len(self.texts) or self.n_labels != n_labels:
            return "has arrays that do not fit together"
        if not ((self.reach > 0) & (self.reach < 1)).all() or (np.abs(self.vectors) > _LONGEST).any():
            return "has a value that is out of range"
        return None

    @cached_property
    def active(self) -> BoolArray:
        """Which examples count ``(k,)``: those whose text, whatever its case and punctuation, was not taught again."""
        latest = {normal_form(text): at for at, text in enumerate(self.texts)}
        found = np.zeros(len(self), dtype=np.bool_)
        found[list(latest.values())] = True
        return found

    def weights(self, embedding: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
        """How much the nearest taught example weighs for each vector ``(n,)`` in [0, 1], and which one it is ``(n,)``.

        An example weighs 0 for a vector whose cosine with its own is ``half width`` or more below its reach, so that
        such a text is answered exactly as before; above, the weight rises in an S (``3 t² - 2 t³``). Of several
        examples the one with the highest weight counts, and then the nearest.
        """
        if not len(self):
            return np.zeros(len(embedding), dtype=np.float32), np.zeros(len(embedding), dtype=np.intp)
        cosine = embedding @ self.vectors.T
        half = np.minimum(_HALF_WIDTH, (1 - self.reach) * _HALF_SHARE)
        t = np.clip((cosine - self.reach + half) / (2 * half), 0, 1)
        weight = t * t * (3 - 2 * t) * self.active
        which = (1e6 * weight.astype(np.float64) + cosine).argmax(axis=1)
        return weight[np.arange(len(cosine)), which].astype(np.float32), which

    def corrected(
        self, probabilities: FloatArray, in_scope: FloatArray, embedding: FloatArray, task: Task
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Probabilities, ``in_scope`` and a signed weight ``(n,)``: positive towards labels, negative towards none.

        With the weight ``w`` of an example, ``p + 0.99 w (y - p)``, where ``y`` is 1 for its labels and 0 for the
        others: rows of a multiclass model still sum to 1. The same for ``in_scope``, with ``w`` alone.
        """
        weight, which = self.weights(embedding)
        gold = self.gold[which] if len(self) else np.zeros((len(weight), self.n_labels), dtype=np.bool_)
        some: BoolArray = np.asarray(gold.any(axis=1))
        padding = self.n_labels - probabilities.shape[1]
        proba = np.pad(probabilities, ((0, 0), (0, padding)))
        # Where no label applies, the likeliest of a multiclass model stay what they are: a softmax cannot say "none".
        pull = weight if task is Task.MULTILABEL else weight * some
        proba += (np.float32(_SURE) * pull)[:, None] * (gold - proba)
        inside = in_scope + weight * (some - in_scope)
        return proba, inside.astype(np.float32), np.where(some, weight, -weight).astype(np.float32)


def fitting_reach(nearest_other: FloatArray, wide: BoolArray) -> FloatArray:
    """The reach ``(k,)`` of examples whose nearest example with other labels has the cosine ``nearest_other (k,)``.

    It ends a share of the way from that one to the example, and is never wider than a least cosine. Both are larger for
    ``wide (k,)``: examples of labels that the model was not trained with, which have nothing else to go by.
    """
    share, least = (np.where(wide, new, old) for new, old in zip(_WIDE, _REACH, strict=True))
    return np.clip(nearest_other + share * (1 - nearest_other), least, _LAST).astype(np.float32)
