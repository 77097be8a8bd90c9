"""Turns logits into calibrated answers: the adapter for models that only have logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..labels import Task
from ..manifest import Calibration
from ..model import Answers, BoolArray, FloatArray, Lengths, Traits
from .scope import in_scope


@dataclass(frozen=True, slots=True)
class Scores:
    """What a scorer makes of ``n`` texts.

    Attributes:
        logits: ``(n, n_labels) float32``.
        truncated: ``(n,) bool``, whether the text is longer than the model reads.
        embedding: ``(n, width) float32`` of unit length, or ``None`` if the scorer has none.
        familiar: ``(n,) float32``, the share of words that training texts have; ``None`` if that is not known.
    """

    logits: FloatArray
    truncated: BoolArray
    embedding: FloatArray | None = None
    familiar: FloatArray | None = None


@runtime_checkable
class Scorer(Protocol):
    """Turns texts into logits."""

    @property
    def traits(self) -> Traits:
        """See :class:`~purport.model.Model`."""
        ...

    def score(self, texts: Sequence[str]) -> Scores:
        """Score ``texts``, in order."""
        ...

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """See :class:`~purport.model.Model`."""
        ...


class Calibrated:
    """A scorer as a :class:`~purport.model.Model`."""

    def __init__(self, scorer: Scorer, task: Task, calibration: Calibration) -> None:
        self._scorer = scorer
        self._task = task
        self._calibration = calibration
        self.lengths = scorer.lengths

    @property
    def traits(self) -> Traits:
        """The traits of the scorer."""
        return self._scorer.traits

    def answer(self, texts: Sequence[str]) -> Answers:
        """See :class:`~purport.model.Model`."""
        return answers(self._scorer.score(texts), self._task, self._calibration)


def answers(scores: Scores, task: Task, calibration: Calibration) -> Answers:
    """``scores`` as calibrated answers."""
    proba = probabilities(scores.logits, task, calibration)
    return Answers(proba, in_scope(proba), scores.truncated)


def probabilities(logits: FloatArray, task: Task, calibration: Calibration) -> FloatArray:
    """Calibrated probabilities ``(n, n_labels) float32``; for multiclass each row sums to 1."""
    scaled = logits.astype(np.float64) / calibration.temperature
    if task is Task.MULTILABEL:
        return (0.5 * (1.0 + np.tanh(0.5 * scaled))).astype(np.float32)
    scaled -= scaled.max(axis=1, keepdims=True)
    exp = np.exp(scaled)
    softmax: FloatArray = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return softmax
