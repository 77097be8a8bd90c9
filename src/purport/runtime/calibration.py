"""Turns logits into calibrated answers: the adapter for models that only have logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..bundle import Bundle
from ..errors import BundleCorrupt
from ..labels import Task
from ..manifest import Calibration, Scope
from ..model import Answers, BoolArray, FloatArray, Lengths, Traits
from .memory import MEMORY_FILE, Memory
from .scope import evidence, in_scope, likeliest, signals


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
    """A scorer as a :class:`~purport.model.Model`. ``scope`` needs a ``memory`` and a scorer with embeddings."""

    def __init__(
        self,
        scorer: Scorer,
        task: Task,
        calibration: Calibration,
        scope: Scope | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._scorer = scorer
        self._task = task
        self._calibration = calibration
        self._scope = scope
        self.memory = memory
        self.lengths = scorer.lengths

    @property
    def traits(self) -> Traits:
        """The traits of the scorer."""
        return self._scorer.traits

    def answer(self, texts: Sequence[str]) -> Answers:
        """See :class:`~purport.model.Model`."""
        return answers(self._scorer.score(texts), self._task, self._calibration, self._scope, self.memory)


def calibrated(scorer: Scorer, bundle: Bundle) -> Calibrated:
    """``scorer`` with the calibration, the scope and the memory of ``bundle``.

    Raises:
        BundleCorrupt: the memory cannot be loaded, or there is none although the manifest needs it.
    """
    manifest = bundle.manifest
    memory = Memory.load(bundle.path, len(manifest.labels))
    if manifest.scope is not None and memory is None:
        raise BundleCorrupt(bundle.path, MEMORY_FILE, "is missing, and the manifest's scope needs it")
    return Calibrated(scorer, manifest.task, manifest.calibration, manifest.scope, memory)


def answers(
    scores: Scores,
    task: Task,
    calibration: Calibration,
    scope: Scope | None = None,
    memory: Memory | None = None,
) -> Answers:
    """``scores`` as calibrated answers."""
    proba = probabilities(scores.logits, task, calibration)
    if scope is None or memory is None or scores.embedding is None:
        return Answers(proba, likeliest(proba), scores.truncated, scores.embedding)
    found = signals(scores.logits, scores.embedding, scores.familiar, task, memory)
    evident = evidence(found, scope).astype(np.float32)
    return Answers(proba, in_scope(found, scope), scores.truncated, scores.embedding, evidence=evident)


def probabilities(logits: FloatArray, task: Task, calibration: Calibration) -> FloatArray:
    """Calibrated probabilities ``(n, n_labels) float32``; for multiclass each row sums to 1."""
    scaled = logits.astype(np.float64) / calibration.temperature
    if task is Task.MULTILABEL:
        return (0.5 * (1.0 + np.tanh(0.5 * scaled))).astype(np.float32)
    scaled -= scaled.max(axis=1, keepdims=True)
    exp = np.exp(scaled)
    softmax: FloatArray = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return softmax


def unit(vectors: FloatArray) -> FloatArray:
    """``vectors (n, width)`` with length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled
