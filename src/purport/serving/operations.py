"""What a worker does with texts: classify them, and whatever else is registered in ``purport.operations``.

An operation runs in the workers, so that the event loop only passes bytes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pydantic_core import to_json

from ..classifier import Classifier
from ..manifest import ModelFacts
from ..prediction import AnswerOptions, encode

CLASSIFY = "classify"
INTENT = AnswerOptions(decided=False)
"""What ``POST /intent`` answers."""
TRUNCATED_HEADER = "Purport-Truncated"

# Characters that a token stands for, roughly; what the estimate gets wrong, the measured cost evens out.
_CHARACTERS = 4
_OVERHEAD_TOKENS = 3
_TRUNCATED = ((TRUNCATED_HEADER.lower().encode(), b"true"),)


class Request(NamedTuple):
    """One text, and what is asked about it; ``options`` are of a type that the operation knows, and hashable."""

    text: str
    options: Any


class Result(NamedTuple):
    """An answer as JSON, and the headers that belong to it where it is an answer by itself."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Operation(Protocol):
    """One thing that workers do. Made without arguments, once in every process."""

    def cost(self, text: str, facts: ModelFacts) -> int:
        """An estimate of the work, in tokens that a model reads: at least 1."""
        ...

    def __call__(self, classifier: Classifier, requests: Sequence[Request]) -> list[Result]:
        """One result per request, in order."""
        ...


class Classify:
    """Predictions as JSON; options are :class:`~purport.prediction.AnswerOptions`."""

    def cost(self, text: str, facts: ModelFacts) -> int:
        """See :class:`Operation`."""
        return min(len(text) // _CHARACTERS, facts.limit) + _OVERHEAD_TOKENS

    def __call__(self, classifier: Classifier, requests: Sequence[Request]) -> list[Result]:
        """See :class:`Operation`."""
        answers = classifier.answer([request.text for request in requests])
        options: list[AnswerOptions] = [request.options for request in requests]
        predictions = classifier.predictions(
            answers, [each.threshold for each in options], [each.ranked for each in options]
        )
        return [
            Result(to_json(encode(prediction, each)), _TRUNCATED if prediction.truncated else ())
            for prediction, each in zip(predictions, options, strict=True)
        ]
