"""The operations ``explain`` and ``probe``."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from pydantic_core import to_json

from ..classifier import Classifier
from ..explaining.explain import explain
from ..explaining.explanation import encode
from ..manifest import ModelFacts
from ..runtime.asking import rows_of
from .operations import Classify, Request, Result

EXPLAIN, PROBE = "explain", "probe"
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
        known: results of ``probe`` by text, for texts that are to be asked, the whole one among them. The explanation
            does not depend on it.
    """

    label: str | None
    method: str | None
    calls: int
    examples: int
    by_word: bool = False
    known: Mapping[str, bytes] = field(default_factory=dict, compare=False)

    def asked(self, text: str) -> int:
        """About how many texts are asked to explain ``text``, at most, beside those that are ``known``."""
        most = min(self.calls, 2 + len(text) // _WORD_CHARACTERS) if self.by_word else self.calls
        return max(1, most - len(self.known))


class Explain:
    """Explanations as JSON; options are :class:`ExplainOptions`."""

    def cost(self, text: str, facts: ModelFacts) -> int:
        """See :class:`.Operation`: of one of the texts that are asked."""
        return Classify().cost(text, facts)

    def __call__(self, classifier: Classifier, requests: Sequence[Request]) -> list[Result]:
        """See :class:`.Operation`."""
        return [_result(classifier, text, options) for text, options in requests]


class Probe:
    """What an explanation asks: the answer to a text, or to a text with some words left out, as a pickle for a worker.

    Workers share the probes of one explanation between them. The option says whether it is the whole text, of which
    all is needed.
    """

    def cost(self, text: str, facts: ModelFacts) -> int:
        """See :class:`.Operation`."""
        return Classify().cost(text, facts)

    def __call__(self, classifier: Classifier, requests: Sequence[Request]) -> list[Result]:
        """See :class:`.Operation`."""
        answers = classifier.answer([request.text for request in requests])
        less = replace(answers, embedding=None, evidence=None)
        return [
            Result(pickle.dumps(rows_of(answers if request.options else less, np.array([at]))))
            for at, request in enumerate(requests)
        ]


def _result(classifier: Classifier, text: str, options: ExplainOptions) -> Result:
    found = explain(
        classifier, text, label=options.label, method=options.method, calls=options.calls, examples=options.examples,
        known={text: pickle.loads(body) for text, body in options.known.items()},
    )  # fmt: skip
    return Result(to_json(encode(found)))
