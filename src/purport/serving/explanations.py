"""The operation ``explain``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import to_json

from ..classifier import Classifier
from ..explaining.explanation import encode
from ..manifest import ModelFacts
from .operations import Classify, Request, Result

EXPLAIN = "explain"
_WORD_CHARACTERS = 3  # and a space; a word that is not the shortest has more


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """What to explain, and how.

    Attributes:
        label: the label; by default the most probable one that is decided, or of all.
        method: the method; ``None`` for the default of the bundle.
        calls: the largest number of texts that the model is asked.
        examples: number of training examples for, and of those against.
        by_word: whether the method asks a text for each word, and a few more; otherwise it asks ``calls`` texts.
    """

    label: str | None
    method: str | None
    calls: int
    examples: int
    by_word: bool = False

    def asked(self, text: str) -> int:
        """About how many texts are asked to explain ``text``, at most."""
        return min(self.calls, 2 + len(text) // _WORD_CHARACTERS) if self.by_word else self.calls


class Explain:
    """Explanations as JSON; options are :class:`ExplainOptions`."""

    def cost(self, text: str, facts: ModelFacts) -> int:
        """See :class:`.Operation`: of one of the texts that are asked."""
        return Classify().cost(text, facts)

    def __call__(self, classifier: Classifier, requests: Sequence[Request]) -> list[Result]:
        """See :class:`.Operation`."""
        return [_result(classifier, text, options) for text, options in requests]


def _result(classifier: Classifier, text: str, options: ExplainOptions) -> Result:
    found = classifier.explain(
        text, label=options.label, method=options.method, calls=options.calls, examples=options.examples
    )
    return Result(to_json(encode(found)))
