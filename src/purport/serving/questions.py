"""The System One protocol as the server speaks it: questions about a state, and answers from a bundle's labels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from ..errors import OptionInvalid, OptionUnknown, TextInvalid, TextMissing, did_you_mean
from ..labels import LabelSet, none_of_these
from .body import check_label, check_text
from .schema import Label, Share, validated

MOST_QUESTIONS = MOST_OPTIONS = 255
_NONE = "none"
_DIGITS = 6
_STATE: JsonDict = {
    "anyOf": [{"type": "string", "minLength": 1, "pattern": r"\S"}, {"type": "object"}, {"type": "array"}]
}
_MISSING = '"state" is missing.'
_TYPES = "has no type that is known here; ask a choice or a noul"
_SCALE = "asks for a score, and labels have no scale; ask a choice between labels, or a noul about each"


class Lenient(BaseModel):
    """A part of a body whose further fields are ignored: the protocol may get more."""

    model_config = ConfigDict(strict=True, extra="ignore")


class ChoiceQuestion(Lenient):
    """Which of the options applies. Options are labels of the model, and "none of these"."""

    type: Literal["choice"]
    instructions: Any = Field(None, description="Ignored: the model has learned what its labels mean")
    criteria: dict[str, Any] = Field(
        min_length=1, max_length=MOST_OPTIONS, description="The options; what they mean is ignored"
    )


class NoulQuestion(Lenient):
    """Whether a label applies: the one that the id of the question names, or ``criteria.true``."""

    type: Literal["noul"]
    instructions: Any = Field(None, description="Ignored")
    criteria: dict[str, Any] | None = Field(None, description="`true` may name the label; the rest is ignored")


_QUESTIONS: JsonDict = {
    "additionalProperties": {"anyOf": [ChoiceQuestion.model_json_schema(), NoulQuestion.model_json_schema()]}
}


class SystemOneRequest(Lenient):
    """A text, and questions about its labels."""

    state: str | dict[str, Any] | list[Any] = Field(
        json_schema_extra=_STATE,
        description="The text; of other JSON, its strings in order, a line each, without the names of fields",
    )
    questions: dict[str, Any] = Field(
        min_length=1,
        max_length=MOST_QUESTIONS,
        json_schema_extra=_QUESTIONS,
        description="`choice` or `noul` questions, by ids of your own",
    )
    model: Label | None = Field(
        None, max_length=64, description="Name of a model (see /v1/models), or `default`; if absent, the default model"
    )


class ChoiceAnswer(BaseModel):
    """The answer to a choice."""

    type: Literal["choice"] = "choice"
    choice: str = Field(description="What the bundle decides, if that is an option; otherwise the most probable one")
    confidence: Share = Field(description="1 if one option has all the probability, 0 if all have the same")
    probabilities: dict[str, Share] = Field(description="Of each option; they sum to 1")


class NoulAnswer(BaseModel):
    """The answer to a noul."""

    type: Literal["noul"] = "noul"
    noul: Share = Field(description="Probability that the label applies")


class TokensAnswer(BaseModel):
    """How much was read."""

    input_tokens: int = Field(description="An estimate of the tokens of the text")
    output_tokens: int = Field(description="0: nothing is written")


class SystemOneAnswer(BaseModel):
    """The answers to all questions."""

    model: str = Field(description="Name of the model that answered")
    bundle: str = Field(description="Id of its bundle")
    answers: dict[str, ChoiceAnswer | NoulAnswer] = Field(description="By the ids of the questions")
    usage: TokensAnswer


@dataclass(frozen=True)
class Question:
    """A question: its id, its options, and the label that each of them is (``None``: that no label applies)."""

    name: str
    kind: str
    options: Mapping[str, str | None]


def parsed(fields: Mapping[str, object]) -> SystemOneRequest:
    """``fields`` as a request; its questions are not looked at yet.

    Raises:
        TextMissing, TextInvalid: there is no state, or it is a number or the like.
        OptionInvalid: another field has an invalid value.
    """
    wrong = TextInvalid('"state" is neither a string nor an object or a list.')
    return validated(SystemOneRequest, fields, {"state": wrong if "state" in fields else TextMissing(_MISSING)})


def text_of(state: str | dict[str, Any] | list[Any]) -> str:
    """The text that ``state`` is: itself, or its strings in order, a line each; without any, its JSON.

    Raises:
        TextEmpty: it is empty.
        TextInvalid: it has half of a surrogate pair, or is nested too deeply.
    """
    if isinstance(state, str):
        return check_text(state)
    joined = "\n".join(_strings(state))
    try:
        return check_text(joined if joined.strip() else json.dumps(state))
    except RecursionError:
        raise TextInvalid('"state" is nested too deeply.') from None


def _strings(state: Any) -> Iterator[str]:
    waiting = [state]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict | list):
            waiting.extend(reversed([*each.values()] if isinstance(each, dict) else each))


def question_of(name: str, given: Any, labels: LabelSet) -> Question:
    """The question ``name``, which must be about ``labels``.

    Raises:
        OptionInvalid: it is not of the protocol, or a score.
        OptionUnknown: it is about something else.
    """
    try:
        check_label(name)
    except ValueError:
        raise OptionInvalid('"questions": an id has half of a surrogate pair, which is no valid character.') from None
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "choice":
        options = validated(ChoiceQuestion, given).criteria
        return Question(name, kind, {option: _label(name, option, labels) for option in options})
    if kind == "noul":
        true = (validated(NoulQuestion, given).criteria or {}).get("true")
        option = true if not _is_known(name, labels) and isinstance(true, str) else name
        return Question(name, kind, {option: _label(name, option, labels)})
    raise OptionInvalid(f'The question "{name}" {_SCALE if kind == "score" else _TYPES}.')


def _is_known(option: str, labels: LabelSet) -> bool:
    return option in labels or option in (_NONE, none_of_these(labels))


def _label(name: str, option: str, labels: LabelSet) -> str | None:
    if not _is_known(option, labels):
        hint = did_you_mean(option, labels.names)
        raise OptionUnknown(f'The question "{name}": the model has no label "{option}".{hint}')
    return option if option in labels else None


@dataclass(frozen=True)
class Found:
    """What the classifier found: the decided ``labels``, the probability that any applies, and that of each."""

    labels: Sequence[str]
    in_scope: float
    shares: Mapping[str, float]
    whole: float

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Found:
        """From the ``answer`` of the operation ``classify``, with all probabilities."""
        shares = answer["probabilities"]
        return cls(answer["labels"], answer["in_scope"], shares, math.fsum(shares.values()) or 1.0)

    def mass(self, label: str | None) -> float:
        """The share of ``label`` in what is certain to be one of all labels or none of them."""
        return 1 - self.in_scope if label is None else self.in_scope * self.shares[label] / self.whole


def answered(question: Question, found: Found) -> dict[str, Any]:
    """The answer to ``question``, as JSON fields of :class:`ChoiceAnswer` or :class:`NoulAnswer`."""
    options = question.options
    if question.kind == "noul":
        (label,) = options.values()
        # A label is no more probable than that any applies.
        share = found.mass(None) if label is None else min(found.in_scope, found.shares[label])
        return {"type": "noul", "noul": round(share, _DIGITS)}
    masses = [found.mass(label) for label in options.values()]
    total = math.fsum(masses)
    shares = [each / total for each in masses] if total > 0 else [1 / len(masses)] * len(masses)
    likely = dict(zip(options, shares, strict=True))
    return {
        "type": "choice",
        "choice": _decided(options, found.labels) or max(likely, key=likely.__getitem__),
        "confidence": _confidence(shares),
        "probabilities": {option: round(each, _DIGITS) for option, each in likely.items()},
    }


def _decided(options: Mapping[str, str | None], labels: Sequence[str]) -> str | None:
    """The option that is the most confident of the decided ``labels``, or that there is none."""
    named = {label: option for option, label in options.items()}
    return next((named[label] for label in labels or (None,) if label in named), None)


def _confidence(probabilities: Sequence[float]) -> float:
    """1 less the entropy, as a share of the largest that so many options can have."""
    if len(probabilities) == 1:
        return 1.0
    entropy = -math.fsum(each * math.log(each) for each in probabilities if each > 0)
    return round(min(1.0, max(0.0, 1 - entropy / math.log(len(probabilities)))), _DIGITS)
