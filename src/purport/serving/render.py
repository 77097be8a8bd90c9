"""Answers as JSON. Done in the workers, so that the event loop only passes bytes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..classifier import Answers, Classifier
from ..runtime import BoolArray, FloatArray

TOP = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the answer to a text holds.

    Attributes:
        top_k: so many of the likeliest labels.
        decided: the decided labels, ``out_of_scope`` and ``truncated`` as well.
        probabilities: the probability of every label.
        threshold: takes the place of the bundle's own thresholds.
    """

    top_k: int = TOP
    decided: bool = False
    probabilities: bool = False
    threshold: float | None = None


INTENT = Wanted()
"""What ``POST /intent`` answers."""


class Rendered(NamedTuple):
    """An answer as JSON, whether its text was longer than the model reads, and the id of the bundle that answered."""

    body: bytes
    truncated: bool
    bundle: str


class Renderer:
    """Makes the answers of one classifier."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._bundle = classifier.bundle.manifest.id
        self._names = [json.dumps(name, ensure_ascii=False) for name in classifier.labels.names]

    def __call__(self, texts: Sequence[str], wanted: Sequence[Wanted]) -> list[Rendered]:
        """One answer per text, in order."""
        answers = self._classifier.answer(texts)
        order = np.argsort(-answers.probabilities, axis=1, kind="stable")
        return [self._render(answers, row, order[row].tolist(), each) for row, each in enumerate(wanted)]

    def _render(self, answers: Answers, row: int, order: list[int], wanted: Wanted) -> Rendered:
        proba, truncated = answers.probabilities[row], bool(answers.truncated[row])
        fields = []
        if wanted.decided:
            decided = self._decide(proba, answers.decided[row], wanted.threshold)
            labels = ", ".join(self._names[label] for label in order if decided[label])
            fields.append(f'"labels": [{labels}], "out_of_scope": {"false" if labels else "true"}')
            fields.append(f'"truncated": {"true" if truncated else "false"}')
        intents = ", ".join(
            f'{{"label": {self._names[label]}, "confidence": {_confidence(proba[label])}}}'
            for label in order[: wanted.top_k]
        )
        fields.append(f'"intents": [{intents}]')
        if wanted.probabilities:
            every = ", ".join(f"{name}: {_confidence(value)}" for name, value in zip(self._names, proba, strict=True))
            fields.append(f'"probabilities": {{{every}}}')
        return Rendered(f"{{{', '.join(fields)}}}".encode(), truncated, self._bundle)

    def _decide(self, proba: FloatArray, decided: BoolArray, threshold: float | None) -> BoolArray:
        if threshold is None:
            return decided
        again: BoolArray = self._classifier.decide(proba[None, :], threshold)[0]
        return again


def _confidence(probability: np.float32) -> str:
    return repr(round(float(probability), 6))
