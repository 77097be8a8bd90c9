"""An opened bundle."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import registry
from .bundle import Bundle, Decision
from .errors import BundleUnsupported
from .labels import LabelSet, Task
from .prediction import Prediction, ScoredLabel
from .runtime import BoolArray, FloatArray, Scorer
from .runtime.calibration import probabilities
from .runtime.decision import decide


@dataclass(frozen=True, slots=True)
class Answers:
    """What was computed for ``n`` texts: ``probabilities (n, n_labels) float32``, ``decided`` and ``truncated``."""

    probabilities: FloatArray
    decided: BoolArray
    truncated: BoolArray


class Classifier:
    """Answers texts with a bundle. Safe to use from several threads.

    >>> classifier = Classifier.open("atis")
    >>> classifier.predict(["flights from boston to denver and what they cost"])[0].labels
    ('flight', 'airfare')
    """

    def __init__(self, bundle: Bundle, scorer: Scorer) -> None:
        self.bundle = bundle
        self.labels: LabelSet = bundle.labels
        self.task: Task = bundle.manifest.task
        self._scorer = scorer

    @classmethod
    def open(
        cls, ref: str | os.PathLike[str] | Bundle, *, device: str = "cpu", threads: int | None = None
    ) -> Classifier:
        """Open the bundle in directory ``ref``, or the one of that name that ships with the package.

        Raises:
            BundleError: it is not there, was changed, or is of a kind that is not installed.
            DeviceUnavailable: ``device`` (``cpu`` or ``cuda``) is not on this machine.
        """
        bundle = ref if isinstance(ref, Bundle) else Bundle.open(ref)
        scorer = registry.load("scorers", bundle.manifest.kind, BundleUnsupported)
        return cls(bundle, scorer.open(bundle, device=device, threads=threads))

    def predict_proba(self, texts: Sequence[str]) -> FloatArray:
        """Calibrated probabilities ``(n_texts, n_labels) float32`` in the order of ``labels``."""
        return self.answer(texts).probabilities

    def predict(self, texts: Sequence[str], *, threshold: float | None = None) -> list[Prediction]:
        """One prediction per text, in order.

        ``threshold`` takes the place of the bundle's own: for multilabel every label that reaches it is
        decided, for multiclass the likeliest label is decided if it reaches it.
        """
        answers = self.answer(texts, threshold=threshold)
        return [self._prediction(answers, row) for row in range(len(texts))]

    def answer(self, texts: Sequence[str], *, threshold: float | None = None) -> Answers:
        """Probabilities and decisions as arrays.

        Raises:
            TypeError: ``texts`` is one string, or holds something that is not a string.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError("texts must be a list of strings")
        scores = self._scorer.score(texts)
        proba = probabilities(scores.logits, self.task, self.bundle.manifest.calibration)
        return Answers(proba, decide(proba, self.task, self._decision(threshold)), scores.truncated)

    def decide(self, probabilities: FloatArray, threshold: float) -> BoolArray:
        """The labels ``(n, n_labels) bool`` that ``threshold`` decides, see :meth:`predict`."""
        return decide(probabilities, self.task, self._decision(threshold))

    def _decision(self, threshold: float | None) -> Decision:
        if threshold is None:
            return self.bundle.manifest.decision
        return Decision(thresholds=(threshold,) * len(self.labels), reject_below=threshold)

    def _prediction(self, answers: Answers, row: int) -> Prediction:
        proba, decided = answers.probabilities[row], answers.decided[row]
        names = self.labels.names
        order = np.argsort(-proba, kind="stable")
        return Prediction(
            labels=tuple(names[index] for index in order if decided[index]),
            ranked=tuple(ScoredLabel(names[index], float(proba[index])) for index in order),
            out_of_scope=not decided.any(),
            truncated=bool(answers.truncated[row]),
            bundle=self.bundle.manifest.id,
        )
