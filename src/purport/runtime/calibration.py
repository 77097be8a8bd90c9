"""Turns logits into calibrated answers: the adapter for models that only have logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..contents import loading
from ..errors import BundleCorrupt
from ..labels import Task
from ..manifest import Calibration, Scope
from ..model import Answers, BoolArray, FloatArray, Lengths, Metered, Traits, Usage
from .long_texts import decisive, with_sentences
from .memory import MEMORY_FILE, Memory
from .scope import SIGNALS, evidence, in_scope, likeliest, signals
from .taught_vectors import VECTORS_FILE, TaughtVectors

_TRIED = ("a text to try the model with",)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a scorer makes of ``n`` texts.

    Attributes:
        logits: ``(n, n_labels) float32``.
        truncated: ``(n,) bool``, whether the text is longer than the model reads.
        embedding: ``(n, width) float32`` of unit length, or ``None`` if the scorer has none.
        familiar: ``(n,) float32``, the share of words that training texts have; ``None`` if that is not known.
        unanswered: ``(n,) bool``, whether there is no answer to the text: no label is then probable.
        cost: ``(n, 2) float64``, see :class:`~purport.model.Answers`.
    """

    logits: FloatArray
    truncated: BoolArray
    embedding: FloatArray | None = None
    familiar: FloatArray | None = None
    unanswered: BoolArray | None = None
    cost: NDArray[np.float64] | None = None


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
    """A scorer as a :class:`~purport.model.Model`.

    ``scope`` needs a ``memory`` and a scorer with embeddings; ``taught`` needs such a scorer.
    """

    def __init__(
        self,
        scorer: Scorer,
        task: Task,
        calibration: Calibration,
        scope: Scope | None = None,
        memory: Memory | None = None,
        taught: TaughtVectors | None = None,
    ) -> None:
        self.scorer = scorer
        self._task = task
        self._calibration = calibration
        self._scope = scope
        self.memory = memory
        self.taught = taught
        self.score = scorer.score
        self.lengths = scorer.lengths

    @property
    def traits(self) -> Traits:
        """The traits of the scorer."""
        return self.scorer.traits

    def answer(self, texts: Sequence[str]) -> Answers:
        """See :class:`~purport.model.Model`. Where it can tell what is in scope, it reads long texts by sentences."""
        return self.by_sentences(texts, self._whole(texts))

    def by_sentences(self, texts: Sequence[str], whole: Answers) -> Answers:
        """What it answers to ``texts``, where ``whole`` is what :meth:`of` gives for their scores."""
        return with_sentences(texts, whole, self._whole) if self._splits(whole) else whole

    def decisive(self, text: str) -> tuple[int, int] | None:
        """Where in ``text`` the sentence stands whose answer it gives; ``None`` if it is that to the whole text."""
        whole = self._whole([text])
        return decisive(text, whole, self._whole) if self._splits(whole) else None

    def _splits(self, whole: Answers) -> bool:
        return self._scope is not None and self.memory is not None and bool(whole.truncated.any())

    def _whole(self, texts: Sequence[str]) -> Answers:
        return self.of(self.score(texts))

    def of(self, scores: Scores) -> Answers:
        """The answers for these scores of its scorer, long texts as they were cut."""
        return answers(scores, self._task, self._calibration, self._scope, self.memory, self.taught)

    @property
    def usage(self) -> Usage:
        """See :class:`~purport.model.Metered`; nothing, if the scorer asks no service."""
        return self.scorer.usage if isinstance(self.scorer, Metered) else Usage()

    def instructed(self, taught: TaughtVectors) -> Calibrated:
        """The same model with other taught examples."""
        return Calibrated(self.scorer, self._task, self._calibration, self._scope, self.memory, taught)


def calibrated(scorer: Scorer, bundle: Bundle) -> Calibrated:
    """``scorer`` with the calibration, the scope, the memory and the taught examples of ``bundle``.

    Raises:
        BundleCorrupt: memory or taught examples cannot be loaded, or are missing although the manifest needs them.
    """
    manifest = bundle.manifest
    memory = Memory.load(bundle.path, len(manifest.labels))
    if manifest.scope is not None and memory is None:
        raise BundleCorrupt(bundle.path, MEMORY_FILE, "is missing, and the manifest's scope needs it")
    if manifest.scope is not None and len(manifest.scope.weights) != len(SIGNALS):
        raise BundleCorrupt(bundle.path, "manifest.json", f"has a scope that is not of {len(SIGNALS)} signals")
    taught = TaughtVectors.load(bundle.path, len(manifest.labels))
    if (manifest.taught.examples if manifest.taught else 0) != (0 if taught is None else len(taught)):
        raise BundleCorrupt(bundle.path, VECTORS_FILE, "has other examples than the manifest says")
    if not scorer.traits.remote:
        with loading(bundle.path, "the model", "cannot score a text"):
            _require_fit(scorer.score(_TRIED), manifest.scored, memory, taught)
    return Calibrated(scorer, manifest.task, manifest.calibration, manifest.scope, memory, taught)


def _require_fit(scores: Scores, n_labels: int, memory: Memory | None, taught: TaughtVectors | None) -> None:
    """Check that the scores of a text are such as the rest of the bundle needs.

    Raises:
        ValueError: they are not; the message says why.
    """
    if scores.logits.shape != (len(_TRIED), n_labels) or not np.isfinite(scores.logits).all():
        raise ValueError(f"it does not have a finite logit for each of {n_labels:,} labels")
    width = None if scores.embedding is None else scores.embedding.shape[1]
    for vectors in (each.vectors for each in (memory, taught) if each is not None):
        if vectors.shape[1] != width:
            raise ValueError(f"its vectors have {width} numbers, those of examples {vectors.shape[1]}")
    if scores.embedding is not None and not np.isfinite(scores.embedding).all():
        raise ValueError("its vectors are not finite")


def answers(
    scores: Scores,
    task: Task,
    calibration: Calibration,
    scope: Scope | None = None,
    memory: Memory | None = None,
    taught: TaughtVectors | None = None,
) -> Answers:
    """``scores`` as calibrated answers."""
    proba = probabilities(scores.logits, task, calibration)
    inside, evident, weight = likeliest(proba), None, None
    if scope is not None and memory is not None and scores.embedding is not None:
        found = signals(scores.logits, scores.embedding, scores.familiar, task, memory)
        added = evidence(found, scope)
        inside, evident = in_scope(added, scope), added.astype(np.float32)
    if scores.unanswered is not None and scores.unanswered.any():
        proba[scores.unanswered], inside = 0.0, np.where(scores.unanswered, np.float32(0), inside)
    if taught is not None and scores.embedding is not None:
        proba, inside, weight = taught.corrected(proba, inside, scores.embedding, task)
    return Answers(proba, inside, scores.truncated, scores.embedding, evidence=evident, taught=weight, cost=scores.cost)


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
