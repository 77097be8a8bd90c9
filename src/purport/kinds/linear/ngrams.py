"""Word and character n-grams: the features of the linear model, in training and in prediction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from ...frozen import Frozen
from ...text import normalise, phrase, pieces

WORD = re.compile(r"\w+|[^\w\s]")
_LONGEST = 100


class Ngrams(Frozen):
    """Which n-grams of a text are features. Ranges are inclusive; (0, 0) disables a kind of n-gram."""

    words: tuple[int, int] = (1, 2)
    characters: tuple[int, int] = (2, 5)
    max_characters: int = Field(default=2000, ge=1, le=2**20)
    """Only this many characters of a text are read."""
    splitting: Literal[1, 2] = 1
    r"""How a text becomes words: 2 as in :mod:`purport.text`, 1 by ``\w+`` without normalisation (older bundles)."""

    @model_validator(mode="after")
    def _ordered(self) -> Ngrams:
        for low, high in (self.words, self.characters):
            if not 0 <= low <= high <= _LONGEST:
                raise ValueError(
                    f"an n-gram range must go from low to high, at most to {_LONGEST}, not from {low} to {high}"
                )
        if not self.words[1] and not self.characters[1]:
            raise ValueError("at least one of words and characters must have n-grams, not (0, 0) for both")
        return self

    def __call__(self, text: str) -> Iterator[str]:
        """The n-grams of ``text``, without case, with repetitions. Character n-grams stay inside words.

        In scripts without spaces, they stay between punctuation marks and white space.
        """
        read = self.read(text)
        if self.splitting == 1:
            words = runs = WORD.findall(read.lower())
        else:
            words = pieces(read.replace("ı", "i"))  # Turkish, which many type without dots, and whose I is ı or i
            runs = words if read.isascii() or not words else phrase(words).split(" ")
        yield from _word_ngrams(words, self.words)
        for run in runs:
            yield from _character_ngrams(run, self.characters)

    def read(self, text: str) -> str:
        """What is read of ``text``, normalised; a longer text is cut."""
        return self.normalised(text)[: self.max_characters]

    def normalised(self, text: str) -> str:
        """``text`` as it is counted and read."""
        return text if self.splitting == 1 else normalise(text)


def _word_ngrams(words: list[str], sizes: tuple[int, int]) -> Iterator[str]:
    for size in range(max(sizes[0], 1), sizes[1] + 1):
        for start in range(len(words) - size + 1):
            yield "w " + " ".join(words[start : start + size])


def _character_ngrams(run: str, sizes: tuple[int, int]) -> Iterator[str]:
    padded = f" {run} "
    for size in range(max(sizes[0], 1), sizes[1] + 1):
        for start in range(len(padded) - size + 1):
            yield "c " + padded[start : start + size]
