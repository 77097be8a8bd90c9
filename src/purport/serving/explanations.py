"""The operations ``explain`` and ``probe``."""

from __future__ import annotations

import pickle
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic_core import to_json

from ..classifier import Classifier
from ..explaining.explain import explain
from ..explaining.explanation import encode
from ..explaining.question import Answered
from ..manifest import ModelFacts
from ..runtime.asking import rows_of
from .operations import Classify, Request, Result

EXPLAIN, PROBE = "explain", "probe"
_PROBABILITY = np.dtype(np.float32).itemsize
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
        known: results of ``probe`` by text, for texts that are to be asked, the whole one among them if there are any.
            The explanation does not depend on it.
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
    """What an explanation asks of a text, for the worker that explains; workers share the probes of an explanation.

    Of a text with some words left out, that is its :class:`.Answered`: the bytes of both arrays. Of the whole text,
    which the option names, it is all of the answer, pickled. Both are a string in base 64.
    """

    def cost(self, text: str, facts: ModelFacts) -> int:
        """See :class:`.Operation`."""
        return Classify().cost(text, facts)

    def __call__(self, classifier: Classifier, requests: Sequence[Request]) -> list[Result]:
        """See :class:`.Operation`."""
        answers = classifier.answer([request.text for request in requests])
        decided = classifier.decide(answers).labels
        return [
            Result(
                _packed(
                    pickle.dumps(rows_of(answers, np.array([at])))
                    if request.options
                    else answers.probabilities[at].astype(np.float32).tobytes() + decided[at].tobytes()
                )
            )
            for at, request in enumerate(requests)
        ]


def _packed(content: bytes) -> bytes:
    return b'"' + b64encode(content) + b'"'


def _unpacked(probe: bytes) -> bytes:
    return b64decode(probe[1:-1])


def _answered(probe: bytes) -> Answered:
    """What a :class:`Probe` says of a text with some words left out."""
    content = _unpacked(probe)
    n_labels = len(content) // (_PROBABILITY + 1)
    return Answered(
        np.frombuffer(content, np.float32, n_labels), np.frombuffer(content, np.bool_, offset=_PROBABILITY * n_labels)
    )


def _result(classifier: Classifier, text: str, options: ExplainOptions) -> Result:
    known = dict(options.known)
    whole = known.pop(text, None)
    found = explain(
        classifier, text, label=options.label, method=options.method, calls=options.calls, examples=options.examples,
        whole=None if whole is None else pickle.loads(_unpacked(whole)),
        known={each: _answered(probe) for each, probe in known.items()},
    )  # fmt: skip
    return Result(to_json(encode(found)))
