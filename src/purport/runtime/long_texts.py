"""Reads a text that is longer than the model reads sentence by sentence: most of an e-mail is not what it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..model import Answers

MOST = 24
"""So many sentences are looked at: three quarters from the beginning of a text, the others from its end."""
_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？।؟])\s*|\s*\n\s*")
_MARKS = ".!?…。！？।؟\n"
_TAIL = MOST // 4
_CHOSEN = ("probabilities", "in_scope", "embedding", "evidence", "taught")
_LEAST = 1e-6
_TAUGHT = 0.5  # weight of what was taught, from which on it is the answer


def sentences(text: str) -> list[str]:
    """The sentences and lines of ``text``, at most :data:`MOST`."""
    return [text[start:end] for start, end in _places(text)]


def _places(text: str) -> list[tuple[int, int]]:
    ends = list(_END.finditer(text))
    starts = [0, *(each.end() for each in ends)]
    found = list(zip(starts, [*(each.start() for each in ends), len(text)], strict=True))
    found = [(start, end) for start, end in found if text[start:end].strip()]
    return found if len(found) <= MOST else found[: MOST - _TAIL] + found[-_TAIL:]


def most_sentences(text: str) -> int:
    """At most so many :func:`sentences` has ``text``; found out in microseconds."""
    return min(MOST, 1 + sum(map(text.count, _MARKS)))


def with_sentences(texts: Sequence[str], answers: Answers, answer: Callable[[Sequence[str]], Answers]) -> Answers:
    """``answers`` to ``texts``; a text that is ``truncated`` gets the answer to its sentence that is most in scope.

    One of ``n`` sentences is that by chance more easily, so that its odds of being in scope are divided by ``n``. The
    answer to the text as a whole stays if it is more in scope than that, or was taught.
    """
    held = {name: np.array(value) for name in _CHOSEN if (value := getattr(answers, name)) is not None}
    for row in np.flatnonzero(answers.truncated).tolist():
        if (chosen := _chosen(texts[row], answers, row, answer)) is not None:
            for name, values in held.items():
                values[row] = getattr(chosen.answers, name)[chosen.at]
            held["in_scope"][row] = chosen.in_scope
    return replace(answers, **held)  # type: ignore[arg-type]


def decisive(text: str, whole: Answers, answer: Callable[[Sequence[str]], Answers]) -> tuple[int, int] | None:
    """Where in ``text`` the sentence stands whose answer :func:`with_sentences` gives; ``None`` if it is ``whole``."""
    chosen = _chosen(text, whole, 0, answer) if whole.truncated[0] else None
    return None if chosen is None else chosen.place


class _Chosen(NamedTuple):
    """The sentence at ``place``, whose answer is that ``at`` of ``answers``, and how likely the text is in scope."""

    place: tuple[int, int]
    answers: Answers
    at: int
    in_scope: np.float32


def _chosen(text: str, whole: Answers, row: int, answer: Callable[[Sequence[str]], Answers]) -> _Chosen | None:
    """The sentence of ``text`` that is most in scope; ``None`` if the answer in ``row`` of ``whole`` stays."""
    places = _places(text)
    if len(places) < 2 or (whole.taught is not None and abs(whole.taught[row]) > _TAUGHT):
        return None
    found = answer([text[start:end] for start, end in places])
    best = int(found.in_scope.argmax())
    inside = _discounted(float(found.in_scope[best]), len(places))
    return _Chosen(places[best], found, best, inside) if inside > whole.in_scope[row] else None


def _discounted(probability: float, n: int) -> np.float32:
    """``probability`` with its odds divided by ``n``."""
    bounded = min(max(probability, _LEAST), 1 - _LEAST)
    return np.float32(bounded / (bounded + n * (1 - bounded)))
