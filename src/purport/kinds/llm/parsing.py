"""Reads replies. Whatever a service sends, what comes out is a set of known labels, or nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .provider import MULTICLASS, MULTILABEL, Token

_LONGEST = 100_000  # characters of a reply that are looked at
_FENCE = "```"


def chosen(text: str, answers: Sequence[str], *, several: bool) -> tuple[str, ...] | None:
    """The answers that a reply holds; ``None`` if it is not of the form that was asked for, or names anything else.

    Of what is not exact, a fence of Markdown around the JSON and the case of letters are overlooked.
    """
    given = _parsed(text).get(MULTILABEL if several else MULTICLASS)
    items = given if several and isinstance(given, list) else [given]
    if not several and not isinstance(given, str):
        return None
    exact, folded = set(answers), _folded(answers)
    found: list[str] = []
    for item in items:
        if not isinstance(item, str):
            return None
        name = item if item in exact else folded.get(item.strip().casefold())
        if name is None:
            return None
        found.append(name)
    return tuple(dict.fromkeys(found))


def _parsed(text: str) -> Mapping[str, object]:
    """The one JSON object in ``text``, or an empty one."""
    inner = text[:_LONGEST].strip()
    if inner.startswith(_FENCE) and inner.endswith(_FENCE):
        inner = inner.strip("`").removeprefix("json")
    try:
        found = json.loads(inner)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _folded(answers: Sequence[str]) -> dict[str, str]:
    """Answers by their name in lower case, where that is the name of one only."""
    found: dict[str, str] = {}
    twice = set()
    for name in answers:
        key = name.strip().casefold()
        twice |= {key} & found.keys()
        found[key] = name
    return {key: name for key, name in found.items() if key not in twice}


def shares(tokens: Sequence[Token], answers: Sequence[str], *, several: bool) -> NDArray[np.float64] | None:
    """The probability of each of the ``answers`` from the log-probabilities of a reply, ``(n_answers,) float64``.

    For one answer they sum to 1: walking along the reply's tokens, each alternative gives its probability to the
    answers that begin like it, in equal parts. For several, it is the highest that an answer has at any place of the
    list. ``None`` if the tokens are not those of an answer.
    """
    whole = "".join(token.text for token in tokens)
    names = [json.dumps(name, ensure_ascii=False) for name in answers]
    found = [_walk(tokens, start, names) for start in _places(whole, several)]
    usable = [each for each in found if each is not None]
    if not usable or len(usable) < len(found):
        return None
    best: NDArray[np.float64] = np.max(usable, axis=0)
    return best if several else best / best.sum()


def _places(whole: str, several: bool) -> list[int]:
    """Where the quotation marks of the labels in a reply are."""
    begin = whole.find(":")
    if begin < 0:
        return []
    decoder, places, at = json.JSONDecoder(), [], begin + 1
    while (at := whole.find('"', at)) >= 0:
        try:
            _, end = decoder.raw_decode(whole, at)
        except ValueError:
            return []
        places.append(at)
        at = end
    return places if several else places[:1]


def _walk(tokens: Sequence[Token], start: int, names: Sequence[str]) -> NDArray[np.float64] | None:
    """The probability of each of ``names`` at character ``start`` of a reply."""
    found = np.zeros(len(names))
    position, mass, prefix = 0, 1.0, ""
    for token in tokens:
        end = position + len(token.text)
        if end > start and mass > 0:
            before = token.text[: max(0, start - position)]  # what the token has of the JSON around
            reached = prefix + token.text[len(before) :]
            likely = _likely(token, before)
            for text, share in likely.items():
                if prefix + text != reached:
                    _spread(found, names, prefix + text, mass * share)
            mass *= likely.get(token.text[len(before) :], 0.0)
            prefix = reached
            fitting = [row for row, name in enumerate(names) if _fits(prefix, name)]
            if not fitting:
                return None
            if len(fitting) == 1:
                found[fitting[0]] += mass
                return found if found.sum() > 0 else None
        position = end
    return None


def _likely(token: Token, before: str) -> dict[str, float]:
    """What could have stood after ``before``, and the probability of each."""
    found: dict[str, float] = {}
    for text, logprob in token.alternatives:
        if text.startswith(before) and len(text) > len(before) and not math.isnan(logprob):
            rest = text[len(before) :]
            found[rest] = found.get(rest, 0.0) + math.exp(min(0.0, logprob))
    return found


def _spread(found: NDArray[np.float64], names: Sequence[str], prefix: str, mass: float) -> None:
    fitting = [row for row, name in enumerate(names) if _fits(prefix, name)]
    for row in fitting:
        found[row] += mass / len(fitting)


def _fits(prefix: str, name: str) -> bool:
    return name.startswith(prefix) or prefix.startswith(name)
