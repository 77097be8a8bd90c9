"""What a classifier answers to one text, and how that is written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

DIGITS = 6
"""Decimals of a confidence, wherever it is written."""


class ScoredLabel(NamedTuple):
    """A label with its calibrated probability in [0, 1]."""

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one utterance.

    Attributes:
        labels: the decided labels, by falling confidence; empty when ``out_of_scope``.
        ranked: the labels of the model with their probabilities, by falling confidence.
        out_of_scope: no label was decided.
        truncated: the text was longer than the model reads; the answer rests on its beginning.
        bundle: id of the bundle that answered.
    """

    labels: tuple[str, ...]
    ranked: tuple[ScoredLabel, ...]
    out_of_scope: bool
    truncated: bool
    bundle: str

    def top(self, k: int) -> tuple[ScoredLabel, ...]:
        """The ``k`` likeliest labels (fewer where the model has fewer)."""
        return self.ranked[:k]


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """What is written of an answer.

    Attributes:
        top_k: number of most likely labels.
        decided: the decided labels, ``out_of_scope`` and ``truncated`` as well.
        probabilities: the probability of every label.
        threshold: minimum probability for a label; overrides the bundle's thresholds.
    """

    top_k: int = 3
    decided: bool = True
    probabilities: bool = False
    threshold: float | None = None

    @property
    def ranked(self) -> int | None:
        """How many ranked labels a prediction needs for it; ``None`` for all."""
        return None if self.probabilities else self.top_k


def encode(prediction: Prediction, options: AnswerOptions) -> dict[str, Any]:
    """``prediction`` as it is written over HTTP, on the command line and into files."""
    fields: dict[str, Any] = {}
    if options.decided:
        fields["labels"] = list(prediction.labels)
        fields["out_of_scope"] = prediction.out_of_scope
        fields["truncated"] = prediction.truncated
    fields["intents"] = [
        {"label": each.label, "confidence": round(each.confidence, DIGITS)} for each in prediction.top(options.top_k)
    ]
    if options.probabilities:
        fields["probabilities"] = {each.label: round(each.confidence, DIGITS) for each in prediction.ranked}
    return fields
