"""What the pages say of an answer and of an explanation: sentences, bars and coloured words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..prediction import in_words

RANKED = 5
"""Labels that are shown, beside all that are decided."""
_LEVELS = 5
_FAINT = 0.05  # share of the greatest weight below which a word has no colour


@dataclass(frozen=True, slots=True)
class Ranked:
    """A label, its calibrated confidence, and whether it is decided."""

    label: str
    confidence: float
    decided: bool


def ranked(answer: Mapping[str, Any]) -> list[Ranked]:
    """The likeliest labels of an ``answer``, and every decided one."""
    decided = answer["labels"]
    return [
        Ranked(each["label"], each["confidence"], each["label"] in decided)
        for rank, each in enumerate(answer["intents"])
        if rank < RANKED or each["label"] in decided
    ]


def joined(labels: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; no labels are "none of its labels"."""
    if len(labels) < 2:
        return labels[0] if labels else "none of its labels"
    return f"{', '.join(labels[:-1])} and {labels[-1]}"


def why_none(answer: Mapping[str, Any]) -> str:
    """Why no label was decided, as half a sentence; empty if one was."""
    return "" if answer["labels"] else in_words(answer["reason"])


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: a word with its weight, or what is between words, which has none.

    ``shade`` is the name of its colour: ``for-5`` to ``for-1``, ``none``, ``against-1`` to ``against-5``.
    """

    text: str
    weight: float | None = None
    error: float | None = None
    shade: str = "none"

    @property
    def shown(self) -> str:
        """The weight with one decimal and its sign; ``0`` where nothing is left of it."""
        said = f"{self.weight or 0.0:+.1f}"
        return "0" if said in ("+0.0", "-0.0") else said.replace("-", "\u2212")


def pieces(explanation: Mapping[str, Any]) -> list[Piece]:
    """The text of an ``explanation`` in order, word by word."""
    text, words = explanation["text"], explanation["words"]
    greatest = max((abs(each["weight"]) for each in words), default=0.0)
    found, at = [], 0
    for word in words:
        if word["start"] > at:
            found.append(Piece(text[at : word["start"]]))
        shade = _shade(word["weight"], greatest)
        found.append(Piece(text[word["start"] : word["end"]], word["weight"], word["error"], shade))
        at = word["end"]
    return [*found, Piece(text[at:])] if at < len(text) else found


def _shade(weight: float, greatest: float) -> str:
    share = abs(weight) / greatest if greatest else 0.0
    if share < _FAINT:
        return "none"
    level = min(_LEVELS, 1 + int(share * _LEVELS))
    return f"{'for' if weight > 0 else 'against'}-{level}"


def doubts(explanation: Mapping[str, Any]) -> list[str]:
    """What speaks against the text being in scope, in sentences, if it is not."""
    if not explanation["out_of_scope"]:
        return []
    found = [f"{each['says'][:1].upper()}{each['says'][1:]}." for each in explanation["scope"] if each["weight"] < 0]
    if words := explanation["unfamiliar"]:
        found.append(f"It does not know {'the word' if len(words) == 1 else 'the words'} {joined(words)}.")
    return found


def without(edit: Mapping[str, Any]) -> str:
    """The words that the smallest ``edit`` leaves out."""
    return joined([f"“{each['text']}”" for each in edit["removed"]])
