"""Spelling noise: how people type in a hurry, for training and for measuring what typing errors cost."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

_WORD = re.compile(r"[^\W\d_]{2,}")
# Latin marks unless they are between two letters or digits; marks of scripts without blanks, and quotes, anywhere.
_PUNCTUATION = re.compile(r"[.,;:!?…]+(?!\w)|(?<!\w)[.,;:!?…]+|[¿¡\"()“”„«»。，、！？；：「」『』（）《》؟،؛।]+")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_CHAT = {
    "you": "u", "are": "r", "your": "ur", "please": "pls", "thanks": "thx", "because": "bc", "message": "msg",
    "account": "acct", "do not": "dont", "don't": "dont", "can't": "cant", "what's": "whats", "i'm": "im",
    "it's": "its", "i'd": "id", "people": "ppl", "with": "w", "okay": "ok", "want to": "wanna", "going to": "gonna",
}  # fmt: skip
_CHAT_WORD = re.compile(rf"\b(?:{'|'.join(sorted(_CHAT, key=len, reverse=True))})\b", re.IGNORECASE)


def _neighbours() -> dict[str, str]:
    """The keys beside each key of a keyboard with QWERTY rows, each half a key to the right of the row above."""
    found: dict[str, str] = {}
    for row, keys in enumerate(_ROWS):
        for column, key in enumerate(keys):
            near = [(row, column - 1), (row, column + 1), (row - 1, column), (row - 1, column + 1),
                    (row + 1, column - 1), (row + 1, column)]  # fmt: skip
            found[key] = "".join(_ROWS[r][c] for r, c in near if 0 <= r < len(_ROWS) and 0 <= c < len(_ROWS[r]))
    return found


_NEAR = _neighbours()


def typos(text: str, count: int, rng: np.random.Generator) -> str:
    """``text`` with ``count`` typing errors, each at a letter of a word of at least two letters.

    Each is, with equal probability, a key beside the right one, a missing letter, two letters in the wrong order, or a
    letter twice. A letter that is on no key of a QWERTY keyboard is doubled instead of replaced, and one between equal
    letters instead of swapped, so that each error changes the text.
    """
    for _ in range(count):
        places = [(at, word) for word in _WORD.finditer(text) for at in range(*word.span())]
        if not places:
            return text
        at, word = places[int(rng.integers(len(places)))]
        text = _mistyped(text, at, word.span(), rng)
    return text


def _mistyped(text: str, at: int, word: tuple[int, int], rng: np.random.Generator) -> str:
    """``text`` with an error at the letter ``at``; ``word`` is where the word of that letter begins and ends."""
    letter, kind = text[at], int(rng.integers(4))
    near = _NEAR.get(letter.lower(), "")
    if kind == 0 and near:
        other = near[int(rng.integers(len(near)))]
        return text[:at] + (other.upper() if letter.isupper() else other) + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        for first in (at, at - 1):
            if word[0] <= first and first + 1 < word[1] and text[first] != text[first + 1]:
                return text[:first] + text[first + 1] + text[first] + text[first + 2 :]
    return text[:at] + letter + text[at:]


def _lost_space(text: str, rng: np.random.Generator) -> str:
    spaces = [match.start() for match in re.finditer(r"(?<=\w) (?=\w)", text)]
    if not spaces:
        return text
    at = int(rng.choice(spaces))
    return text[:at] + text[at + 1 :]


def without_punctuation(text: str) -> str:
    """``text`` without marks of punctuation, except inside words and numbers such as ``don't``, ``3.50``, ``10:30``.

    A text of nothing else is returned as it is.
    """
    return " ".join(_PUNCTUATION.sub(" ", text).split()) or text


def _no_punctuation(text: str, rng: np.random.Generator) -> str:
    return without_punctuation(text)


def _chat(text: str, rng: np.random.Generator) -> str:
    return _CHAT_WORD.sub(lambda match: _CHAT[match[0].lower()], text)


def _other_case(text: str, rng: np.random.Generator) -> str:
    return text.upper() if rng.random() < 0.5 else text.lower()


_HABITS: tuple[Callable[[str, np.random.Generator], str], ...] = (_lost_space, _no_punctuation, _chat, _other_case)


def noisy(text: str, rng: np.random.Generator) -> str:
    """``text`` as somebody in a hurry might have typed it: one to three typing errors, or a habit and perhaps an error.

    Habits are a lost space, no punctuation, abbreviations of English chats, and all letters small or large.
    """
    if rng.random() < 0.7:
        return typos(text, int(rng.choice((1, 2, 3), p=(0.5, 0.3, 0.2))), rng)
    habit = _HABITS[int(rng.integers(len(_HABITS)))]
    return typos(habit(text, rng), int(rng.integers(2)), rng)
