"""The adapter for models that only have logits: calibration turns those into answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..labels import Task
from ..manifest import Calibration
from ..model import Answers, BoolArray, FloatArray, Lengths, Traits
from .calibration import probabilities
from .scope import in_scope


@dataclass(frozen=True, slots=True)
class Scores:
    """``logits (n_texts, n_labels) float32`` and ``truncated (n_texts,) bool``: text longer than the model reads."""

    logits: FloatArray
    truncated: BoolArray


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
        """Those of the scorer."""
        return self._scorer.traits

    def answer(self, texts: Sequence[str]) -> Answers:
        """See :class:`~purport.model.Model`."""
        return answers(self._scorer.score(texts), self._task, self._calibration)


def answers(scores: Scores, task: Task, calibration: Calibration) -> Answers:
    """``scores`` as calibrated answers."""
    proba = probabilities(scores.logits, task, calibration)
    return Answers(proba, in_scope(proba), scores.truncated)
