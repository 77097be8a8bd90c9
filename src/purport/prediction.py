"""The answer of a classifier to one text, and its serialised form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Reason = Literal[
    "between_labels", "unlike_any_example", "unfamiliar_words", "below_promise", "taught", "no_label_decided"
]
"""Why no label is decided.

``between_labels``: the model is not sure of any label; ``unlike_any_example``: no training example of the likeliest
label is near; ``unfamiliar_words``: few of the words occur in the training texts; ``below_promise``: there is a label,
but it is not sure enough to keep what the bundle promises; ``taught``: the model was taught that no label applies to
such a text; ``no_label_decided``: the text may well be in scope, but no label is probable enough.
"""
REASONS: dict[Reason, str] = {
    "between_labels": "the model is not sure of any label",
    "unlike_any_example": "it is unlike anything that the model has seen",
    "unfamiliar_words": "it has many words that the model has not seen",
    "below_promise": "the likeliest label is not sure enough to keep what the model promises",
    "taught": "the model was taught so",
    "no_label_decided": "no label is likely enough",
}
"""What people read of each :data:`Reason`."""
DIGITS = 6
"""Number of decimals of every confidence in the output."""


def in_words(reason: str | None) -> str:
    """``reason`` as half a sentence; one that nothing is known of is that no label is likely enough."""
    return next((said for name, said in REASONS.items() if name == reason), REASONS["no_label_decided"])


class ScoredLabel(NamedTuple):
    """A label with its calibrated probability in [0, 1]."""

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class SimilarExample:
    """An example that a text is similar to.

    Attributes:
        labels: its labels; none if it was taught as out of scope.
        similarity: the cosine of both vectors, at most 1.
        row: its row number in the file of the training split, if that is known.
        text: its text, if the bundle keeps the texts.
        taught: whether it was taught after the training.
    """

    labels: tuple[str, ...]
    similarity: float
    row: int | None = None
    text: str | None = None
    taught: bool = False

    def __str__(self) -> str:
        where = "taught" if self.taught else f"row {self.row}" if self.row else "a training row"
        labels = "+".join(self.labels) or "no label"
        return f"{self.similarity:.3f}  {labels}  ({where})" + (f"  {self.text}" if self.text is not None else "")


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one utterance.

    Attributes:
        labels: the decided labels, most confident first; empty if ``out_of_scope``.
        ranked: labels of the model with their probabilities, most confident first.
        out_of_scope: whether no label was decided.
        in_scope: probability that some label of the model applies.
        reason: why no label was decided; ``None`` if one was.
        truncated: whether the text was longer than the model reads, so that only a part of it was used.
        bundle: id of the bundle that answered.
        examples: the most similar examples that the bundle learned from, if they were asked for, nearest first.
    """

    labels: tuple[str, ...]
    ranked: tuple[ScoredLabel, ...]
    out_of_scope: bool
    truncated: bool
    bundle: str
    in_scope: float = 1.0
    reason: Reason | None = None
    examples: tuple[SimilarExample, ...] = ()

    def top(self, k: int) -> tuple[ScoredLabel, ...]:
        """The ``k`` most likely labels, or all if the model has fewer."""
        return self.ranked[:k]


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Which parts of an answer to include in the output.

    Attributes:
        top_k: number of most likely labels.
        decided: whether to include the decided labels, ``out_of_scope``, ``in_scope``, ``reason`` and ``truncated``.
        probabilities: whether to include the probability of every label.
        threshold: minimum probability for a label; overrides the bundle's thresholds.
        examples: number of most similar examples that the bundle learned from.
    """

    top_k: int = 3
    decided: bool = True
    probabilities: bool = False
    threshold: float | None = None
    examples: int = 0

    def __reduce__(self) -> tuple[type[AnswerOptions], tuple[Any, ...]]:
        """For pickle, which otherwise looks up the names of the fields each time."""
        return AnswerOptions, tuple([getattr(self, name) for name in self.__slots__])

    @property
    def ranked(self) -> int | None:
        """Number of ranked labels that a prediction needs; ``None`` for all."""
        return None if self.probabilities else self.top_k


def encode(prediction: Prediction, options: AnswerOptions) -> dict[str, Any]:
    """``prediction`` as JSON fields, for HTTP responses, the command line and files."""
    fields: dict[str, Any] = {}
    if options.decided:
        fields["labels"] = list(prediction.labels)
        fields["out_of_scope"] = prediction.out_of_scope
        fields["in_scope"] = round(prediction.in_scope, DIGITS)
        fields["reason"] = prediction.reason
        fields["truncated"] = prediction.truncated
    fields["intents"] = [
        {"label": each.label, "confidence": round(each.confidence, DIGITS)} for each in prediction.top(options.top_k)
    ]
    if options.probabilities:
        fields["probabilities"] = {each.label: round(each.confidence, DIGITS) for each in prediction.ranked}
    if options.examples:
        fields["examples"] = [encode_example(each) for each in prediction.examples]
    return fields


def encode_example(example: SimilarExample) -> dict[str, Any]:
    """``example`` as JSON fields."""
    known = {"row": example.row, "text": example.text, "taught": example.taught or None}
    fields = {"labels": list(example.labels), "similarity": round(example.similarity, DIGITS)}
    return fields | {name: value for name, value in known.items() if value is not None}
