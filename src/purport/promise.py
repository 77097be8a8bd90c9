"""Promises about decisions: what somebody asks for, and what a bundle keeps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from .errors import did_you_mean
from .frozen import Frozen

Measure = Literal["wrong_accepted", "oos_accepted", "answered"]
"""What a promise is about.

``wrong_accepted``: of the texts that get an answer, the share whose answer is wrong. An answer is wrong if its labels
are not exactly the right ones; every answer to a text that is out of scope is wrong.
``oos_accepted``: of the texts that are out of scope, the share that gets an answer.
``answered``: of the texts that have a label, the share that gets an answer.
"""
_MEANINGS: dict[Measure, str] = {
    "wrong_accepted": "of the answers are wrong",
    "oos_accepted": "of the messages that are out of scope get an answer",
    "answered": "of the messages in scope get an answer",
}
_WRITTEN = re.compile(r"\s*(?P<name>[^<>=\s]+)\s*(?P<sign>[<>=]+)\s*(?P<level>\S+)\s*")
_EXAMPLE = "write, for example, wrong_accepted <= 0.05"
NameT = TypeVar("NameT", bound=str)
_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=0, le=2**53)]


def condition(
    text: str, names: Iterable[NameT], what: str, done: str, example: str, signs: Sequence[str] = ()
) -> tuple[NameT, str, str]:
    """Name, sign and level of the condition that ``text`` states, such as ``wrong_accepted <= 0.05``.

    ``what`` it is, such as "a promise", and what is ``done`` with it, such as "promised", are for messages, as the
    ``example`` is. Any sign is allowed, or only ``signs``.

    Raises:
        ValueError: it has another form, or none of the ``names``.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None or (signs and found["sign"] not in signs):
        raise ValueError(f'"{text}" is not {what}; {example}')
    name = next((each for each in names if each == found["name"]), None)
    if name is None:
        raise ValueError(f'nothing called "{found["name"]}" can be {done}.{did_you_mean(found["name"], names)}')
    return name, found["sign"], found["level"]


def level_of(written: str, example: str) -> float:
    """The number that is ``written``, which may be a percentage.

    Raises:
        ValueError: it is none.
    """
    try:
        return float(written.removesuffix("%")) / (100 if written.endswith("%") else 1)
    except ValueError:
        raise ValueError(f'"{written}" is not a number; {example}') from None


class Term(Frozen):
    """One condition, such as ``wrong_accepted <= 0.05``."""

    measure: Measure
    level: Annotated[float, Field(gt=0, lt=1)]

    @classmethod
    def parse(cls, text: str) -> Term:
        """The condition that ``text`` states.

        Raises:
            ValueError: it has another form, an unknown name, the wrong sign for this name, or no share as its level.
        """
        measure, given, written = condition(text, _MEANINGS, "a promise", "promised", _EXAMPLE)
        sign = ">=" if measure == "answered" else "<="
        if given != sign:
            raise ValueError(f'{measure} needs "{sign}", not "{given}": {measure} {sign} {written}')
        level = level_of(written, _EXAMPLE)
        if not 0 < level < 1:
            nearer = f" Did you mean {level / 100:g}?" if 1 <= level < 100 else ""
            raise ValueError(f"{measure} {sign} {written}: a share is more than 0 and less than 1.{nearer}")
        return cls(measure=measure, level=level)

    @property
    def at_most(self) -> bool:
        """Whether ``level`` is an upper bound; it is a lower one for ``answered``."""
        return self.measure != "answered"

    def __str__(self) -> str:
        return f"{self.measure} {'<=' if self.at_most else '>='} {self.level:g}"

    @property
    def meaning(self) -> str:
        """The condition in words."""
        share = f"{100 * self.level:.4g} %"
        return f"at {'most' if self.at_most else 'least'} {share} {_MEANINGS[self.measure]}"


def _parsed(value: Any) -> Any:
    return Term.parse(value) if isinstance(value, str) else value


WrittenTerm = Annotated[
    Term, BeforeValidator(_parsed), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
"""A :class:`Term` that documents have as it is written."""


class Kept(Frozen):
    """A promise as a bundle keeps it: ``observed`` on its calibration rows, and the ``bound`` that these rows allow."""

    promise: WrittenTerm
    observed: _Share
    bound: _Share


class ShareBound(Frozen):
    """At most this share of the answers is wrong if so large a ``share`` of the texts is out of scope."""

    share: _Share
    at_most: _Share


class LabelBound(Frozen):
    """One label on the calibration rows: how often it was an answer, how often wrongly, and the upper bound."""

    answers: _Count
    wrong: _Count
    at_most: _Share


class ScoreCounts(Frozen):
    """How many calibration rows have an acceptance score below each of ``edges``, and in the last place any.

    ``inside`` counts rows with a label, ``outside`` rows without one; both grow from place to place.
    """

    edges: tuple[_Share, ...]
    inside: tuple[_Count, ...]
    outside: tuple[_Count, ...]

    @model_validator(mode="after")
    def _same_number(self) -> Self:
        if not len(self.edges) + 1 == len(self.inside) == len(self.outside):
            raise ValueError("inside and outside must have one count more than there are edges")
        return self


class Promised(Frozen):
    """What a bundle promises, and what that rests on.

    Attributes:
        terms: each promise, with what the calibration rows say.
        certainty: the probability that calibration rows lead to promises that all hold.
        accept_at: the acceptance score from which on a text gets an answer; the decision has the same.
        rows: number of calibration rows with a label.
        out_of_scope_rows: number of calibration rows without one.
        answered: the share of the calibration rows with a label that gets an answer.
        answered_at_least: the lower bound of that share.
        out_of_scope_share: the lowest and the highest share of texts that are out of scope for which this holds.
        by_share: the bound of ``wrong_accepted`` at other shares; empty without rows that are out of scope.
        labels: bounds of labels with enough answers, each taken by itself; they are no promises.
        scores: the acceptance scores of the calibration rows, to notice when other rows differ.
        assumption: what must be so for the promises to hold, in words.
    """

    terms: tuple[Kept, ...] = Field(min_length=1)
    certainty: Annotated[float, Field(ge=0.5, lt=1)]
    accept_at: _Share
    rows: _Count
    out_of_scope_rows: _Count
    answered: _Share
    answered_at_least: _Share
    out_of_scope_share: tuple[_Share, _Share]
    by_share: tuple[ShareBound, ...] = ()
    labels: dict[str, LabelBound] = Field(default_factory=dict)
    scores: ScoreCounts
    assumption: str

    @property
    def depends_on_share(self) -> bool:
        """Whether it matters how many texts are out of scope: the share of wrong answers rises with them."""
        return any(kept.promise.measure == "wrong_accepted" for kept in self.terms)

    def meets(self, low: float, high: float) -> bool:
        """Whether a share of texts out of scope between ``low`` and ``high`` may be one that this is promised for."""
        least, most = self.out_of_scope_share
        return not self.depends_on_share or (low <= most and high >= least)
