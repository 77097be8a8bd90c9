"""An explanation, and its serialised form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..prediction import DIGITS, Reason, SimilarExample, encode_example

Value = Literal["log_odds", "logit"]
"""What weights are parts of: log odds of the label's calibrated probability, or its logit before calibration."""


class Word(NamedTuple):
    """A word, or several that were taken together: ``text[start:end]`` in characters, and what it weighs.

    ``error`` is the standard error of ``weight`` where the method draws samples.
    """

    text: str
    start: int
    end: int
    weight: float
    error: float | None = None


class Edit(NamedTuple):
    """The smallest edit found that changes the answer: the ``text`` that remains, what is left out, what is decided."""

    text: str
    removed: tuple[tuple[int, int], ...]
    labels: tuple[str, ...]


class Signal(NamedTuple):
    """What one sign says for (positive) or against (negative) the text being in scope, in log odds, and in words."""

    name: str
    weight: float
    says: str


@dataclass(frozen=True, slots=True)
class Examples:
    """The nearest examples of the explained label, and the nearest ones of ``label``, the runner-up, without it."""

    favour: tuple[SimilarExample, ...] = ()
    against: tuple[SimilarExample, ...] = ()
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why ``label`` is as probable for ``text`` as it is.

    Attributes:
        text: the text.
        label: the explained label, and its calibrated ``confidence``.
        labels: the decided labels; ``in_scope`` and ``reason`` as in :class:`~purport.prediction.Prediction`.
        method: the name of the method.
        value: what ``full``, ``base`` and the weights are measured in.
        full: the value of the text.
        base: the value of no text, where the method has one. Then ``base`` and all weights add up to ``full``, but for
            ``gap``.
        gap: ``full - base`` minus the sum of the weights; ``None`` for a method whose weights do not add up.
        words: the words in order, with their weights.
        calls: number of texts that the model was asked.
        examples: training examples for and against, if the bundle remembers any.
        edit: the smallest edit found that changes the answer.
        scope: what speaks for and against the text being in scope, strongest against it first.
        unfamiliar: words that the training texts do not have; only looked for if the text is out of scope.
        note: what one must know to read the weights, in a sentence or two.
    """

    text: str
    label: str
    confidence: float
    labels: tuple[str, ...]
    in_scope: float
    reason: Reason | None
    method: str
    value: Value
    full: float
    base: float | None
    gap: float | None
    words: tuple[Word, ...]
    calls: int
    examples: Examples = Examples()
    edit: Edit | None = None
    scope: tuple[Signal, ...] = ()
    unfamiliar: tuple[str, ...] = ()
    note: str = ""

    @property
    def out_of_scope(self) -> bool:
        """Whether no label is decided."""
        return not self.labels


def encode(explanation: Explanation) -> dict[str, Any]:
    """``explanation`` as JSON fields, for HTTP responses and the command line."""
    found = explanation
    return {
        "text": found.text,
        "label": found.label,
        "confidence": round(found.confidence, DIGITS),
        "labels": list(found.labels),
        "out_of_scope": found.out_of_scope,
        "in_scope": round(found.in_scope, DIGITS),
        "reason": found.reason,
        "method": found.method,
        "value": found.value,
        "full": round(found.full, DIGITS),
        "base": _rounded(found.base),
        "gap": _rounded(found.gap),
        "words": [
            {**word._asdict(), "weight": round(word.weight, DIGITS), "error": _rounded(word.error)}
            for word in found.words
        ],
        "calls": found.calls,
        "examples": _encode_examples(found.examples),
        "edit": None if found.edit is None else _encode_edit(found.edit, found.text),
        "scope": [{**signal._asdict(), "weight": round(signal.weight, DIGITS)} for signal in found.scope],
        "unfamiliar": list(found.unfamiliar),
        "note": found.note,
    }


def _encode_examples(examples: Examples) -> dict[str, Any]:
    return {
        "for": [encode_example(each) for each in examples.favour],
        "against": [encode_example(each) for each in examples.against],
        "against_label": examples.label,
    }


def _encode_edit(edit: Edit, text: str) -> dict[str, Any]:
    removed = [{"text": text[start:end], "start": start, "end": end} for start, end in edit.removed]
    return {"text": edit.text, "removed": removed, "labels": list(edit.labels), "out_of_scope": not edit.labels}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
