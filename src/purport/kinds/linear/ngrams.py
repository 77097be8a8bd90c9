"""Word and character n-grams: the features of the linear model, in training and in prediction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import model_validator

from ...frozen import Frozen

_WORD = re.compile(r"\w+|[^\w\s]")


class Ngrams(Frozen):
    """Which n-grams of a text are features. Ranges are inclusive; (0, 0) disables a kind of n-gram."""

    words: tuple[int, int] = (1, 2)
    characters: tuple[int, int] = (2, 5)
    max_characters: int = 2000
    """Only this many characters of a text are read."""

    @model_validator(mode="after")
    def _ordered(self) -> Ngrams:
        for low, high in (self.words, self.characters):
            if not 0 <= low <= high:
                raise ValueError(f"an n-gram range must go from low to high, not from {low} to {high}")
        if not self.words[1] and not self.characters[1]:
            raise ValueError("at least one of words and characters must have n-grams, not (0, 0) for both")
        return self

    def __call__(self, text: str) -> Iterator[str]:
        """The n-grams of ``text``, lower-cased, with repetitions. Character n-grams stay inside words."""
        words = _WORD.findall(text[: self.max_characters].lower())
        yield from _windows(words, self.words, "w ", " ")
        for word in words:
            yield from _windows(f" {word} ", self.characters, "c ", "")


def _windows(items: Any, sizes: tuple[int, int], prefix: str, joint: str) -> Iterator[str]:
    for size in range(max(sizes[0], 1), sizes[1] + 1):
        for start in range(len(items) - size + 1):
            yield prefix + joint.join(items[start : start + size])
