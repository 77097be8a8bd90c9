"""Reads a text that is longer than the model reads sentence by sentence: most of an e-mail is not what it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

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
        parts = sentences(texts[row])
        if len(parts) < 2 or _is_taught(answers, row):
            continue
        found = answer(parts)
        best, inside = _best(found)
        if inside > answers.in_scope[row]:
            for name, values in held.items():
                values[row] = getattr(found, name)[best]
            held["in_scope"][row] = inside
    return replace(answers, **held)  # type: ignore[arg-type]


def decisive(
    text: str, whole: Answers, answer: Callable[[Sequence[str]], Answers]
) -> tuple[int, int] | None:  # fmt: skip
    """Where in ``text`` the sentence stands whose answer :func:`with_sentences` gives; ``None`` if it is ``whole``."""
    places = _places(text) if whole.truncated[0] else []
    if len(places) < 2 or _is_taught(whole, 0):
        return None
    best, inside = _best(answer([text[start:end] for start, end in places]))
    return places[best] if inside > whole.in_scope[0] else None


def _is_taught(answers: Answers, row: int) -> bool:
    return answers.taught is not None and bool(abs(answers.taught[row]) > _TAUGHT)


def _best(found: Answers) -> tuple[int, np.float32]:
    """The one of the sentences that is most in scope, and how likely that makes it of the text."""
    best = int(found.in_scope.argmax())
    return best, _discounted(float(found.in_scope[best]), len(found.in_scope))


def _discounted(probability: float, n: int) -> np.float32:
    """``probability`` with its odds divided by ``n``."""
    bounded = min(max(probability, _LEAST), 1 - _LEAST)
    return np.float32(bounded / (bounded + n * (1 - bounded)))
