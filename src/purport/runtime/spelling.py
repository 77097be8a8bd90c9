"""Corrects words that the encoder does not know, where a word of the training texts is one typing error away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

_WORD = re.compile(r"[^\W\d_]+")
_LEAST_LETTERS = 3
_LEAST_PART = 3
_REMEMBERED = 50_000


class Spelling:
    """Replaces unknown words by the most frequent known word at a distance of one.

    The distance counts insertions, deletions, replacements and swaps of neighbours (Damerau 1964). Candidates are found
    by the words that remain when one letter is deleted (Garbe 2012, SymSpell). A word with no candidate that is two known words
    without the space between them is split.

    Args:
        frequencies: how often each word, in lower case, occurs in the training texts.
        is_word: whether a word in lower case that does not occur there is a word all the same.
    """

    def __init__(self, frequencies: Mapping[str, int], is_word: Callable[[str], bool]) -> None:
        self.frequencies = frequencies
        self._is_word = is_word
        self._shortened: dict[str, list[str]] = {}
        for word, count in frequencies.items():
            if count > 1 and len(word) >= _LEAST_LETTERS - 1:
                for part in {word, *_deletions(word)}:
                    self._shortened.setdefault(part, []).append(word)
        self.corrected_word = lru_cache(_REMEMBERED)(self._corrected_word)

    def __call__(self, text: str) -> str:
        """``text`` with its misspelt words corrected."""
        return _WORD.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        word = match[0].lower()
        if word in self.frequencies or len(word) < _LEAST_LETTERS:
            return match[0]
        return self.corrected_word(word) or match[0]

    def _corrected_word(self, word: str) -> str | None:
        if self._is_word(word):
            return None
        found = {each for part in (word, *_deletions(word)) for each in self._shortened.get(part, ())}
        near = [each for each in found if _one_error(word, each)]
        if near:
            return max(near, key=lambda each: (self.frequencies[each], each))
        return self._split(word)

    def _split(self, word: str) -> str | None:
        halves = [(word[:at], word[at:]) for at in range(1, len(word))]
        known = [
            pair for pair in halves if all(self.frequencies.get(half, 0) > 1 for half in pair)
            and max(map(len, pair)) >= _LEAST_PART
        ]  # fmt: skip
        if not known:
            return None
        return " ".join(max(known, key=lambda pair: (min(map(self.frequencies.__getitem__, pair)), pair)))


def frequencies(texts: Iterable[str]) -> dict[str, int]:
    """How often each word, in lower case, occurs in ``texts``."""
    found: dict[str, int] = {}
    for text in texts:
        for word in _WORD.findall(text.lower()):
            found[word] = found.get(word, 0) + 1
    return found


def _deletions(word: str) -> Iterator[str]:
    return (word[:at] + word[at + 1 :] for at in range(len(word)))


def _one_error(left: str, right: str) -> bool:
    """Whether a single insertion, deletion, replacement or swap of neighbours turns ``left`` into ``right``."""
    if len(left) > len(right):
        left, right = right, left
    at = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), len(left))
    if len(left) < len(right):
        return left[at:] == right[at + 1 :]
    return left[at + 1 :] == right[at + 1 :] or (
        left[at : at + 2] == right[at : at + 2][::-1] and left[at + 2 :] == right[at + 2 :]
    )
