"""Operations on texts: ``classify``, and others registered in ``purport.operations``.

Operations run in the workers, so that the event loop only forwards bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pydantic_core import to_json

from ..classifier import Classifier
from ..manifest import ModelFacts
from ..prediction import AnswerOptions, encode
from ..runtime.long_texts import most_sentences

CLASSIFY = "classify"
INTENT = AnswerOptions(decided=False)
"""The options of ``POST /intent``."""
TRUNCATED_HEADER = "Purport-Truncated"
SCOPE_HEADER = "Purport-Out-Of-Scope"

# Rough number of characters per token. The measured cost compensates for errors of this estimate.
_CHARACTERS = 4
_OVERHEAD_TOKENS = 3
_SKIMMED = 64  # characters that are made into tokens, and then cut off, in the time of one token that is read
_WRITTEN = 32  # labels that are written, sent and joined in about the time of one token that is read
# What an answer says in headers, by (truncated, out of scope).
_HEADERS = {
    (truncated, out_of_scope): tuple(
        (name.lower().encode(), b"true")
        for name, said in ((TRUNCATED_HEADER, truncated), (SCOPE_HEADER, out_of_scope))
        if said
    )
    for truncated in (False, True)
    for out_of_scope in (False, True)
}


class Request(NamedTuple):
    """One text with the options of its operation, which must be hashable."""

    text: str
    options: Any


class Result(NamedTuple):
    """A result as JSON, and headers for a response that consists of this result alone."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def written(options: Any, labels: int) -> int:
    """The work, in tokens, to write the labels that an answer with these ``options`` names, if the model has so many.

    ``Operation.cost`` does not know the options.
    """
    if not isinstance(options, AnswerOptions):
        return 0
    return ((labels if options.probabilities else 0) + min(options.top_k, labels)) // _WRITTEN


def priced(operation: Operation, request: Request, facts: ModelFacts, labels: int) -> int:
    """The work, in tokens, for ``request`` of a model with so many ``labels``; at least 1.

    Options that ask several texts for one say how many: ``asked(text)``, which is multiplied with the cost of the text.
    """
    units = max(1, operation.cost(request.text, facts)) + written(request.options, labels)
    asked = getattr(request.options, "asked", None)
    return units if asked is None else units * max(1, asked(request.text))


class Operation(Protocol):
    """A task for workers. Created without arguments, once per process."""

    def cost(self, text: str, facts: ModelFacts) -> int:
        """An estimate of the work, in tokens that the model reads; at least 1."""
        ...

    def __call__(self, classifier: Classifier, requests: Sequence[Request]) -> list[Result]:
        """One result per request, in order."""
        ...


class Classify:
    """Predictions as JSON; options are :class:`~purport.prediction.AnswerOptions`."""

    def cost(self, text: str, facts: ModelFacts) -> int:
        """See :class:`Operation`."""
        tokens = len(text) // _CHARACTERS
        read = min(tokens, facts.limit)
        if tokens > facts.limit and (parts := most_sentences(text)) > 1:
            read += min(tokens, parts * facts.limit)  # longer than the model reads: by sentences as well
        return read + len(text) // _SKIMMED + _OVERHEAD_TOKENS

    def __call__(self, classifier: Classifier, requests: Sequence[Request]) -> list[Result]:
        """See :class:`Operation`."""
        answers = classifier.answer([request.text for request in requests])
        options: list[AnswerOptions] = [request.options for request in requests]
        predictions = classifier.predictions(
            answers,
            [each.threshold for each in options],
            [each.ranked for each in options],
            [each.examples for each in options],
        )
        return [
            Result(to_json(encode(prediction, each)), _HEADERS[prediction.truncated, prediction.out_of_scope])
            for prediction, each in zip(predictions, options, strict=True)
        ]
