"""The texts that a student learns from: those of the training split, crossed over, joined, and with typing errors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...data.noise import noisy
from ..run import Rows
from .recipe import Teaching

_LONGEST_WORDS = 40


class Drawn(NamedTuple):
    """A text as the student reads it.

    ``meant`` is the text without typing errors, ``row`` the training row that it is, or -1 if it is made of two;
    ``weight`` is what its rows weigh, multiplied.
    """

    text: str
    meant: str
    row: int
    weight: float


@dataclass(frozen=True)
class _Made:
    text: str
    row: int
    weight: float


class Supply:
    """An endless supply of texts, made from training rows."""

    def __init__(self, rows: Rows, recipe: Teaching, seed: int) -> None:
        self._texts = list(rows.texts)
        self._weights = [1.0] * len(rows) if rows.weights is None else rows.weights.tolist()
        self._recipe = recipe
        self._seed = seed
        self._where: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for row, text in enumerate(self._texts):
            for position, word in enumerate(text.split()):
                self._where[word].append((row, position))

    def draw(self, step: int, count: int) -> list[Drawn]:
        """``count`` texts, which depend only on the seed and ``step``."""
        rng = np.random.default_rng((self._seed, step))
        made = [self._one(rng) for _ in range(count)]
        return [
            Drawn(noisy(each.text, rng) if rng.random() < self._recipe.noise else each.text, each.text, each.row,
                  each.weight)
            for each in made
        ]  # fmt: skip

    def _one(self, rng: np.random.Generator) -> _Made:
        row = int(rng.integers(len(self._texts)))
        kind = rng.random()
        crossed, composed, conjunctions = self._recipe.crossed, self._recipe.composed, self._recipe.conjunctions
        if kind < crossed:
            return self._crossed(row, rng)
        if kind < crossed + composed:
            joint = conjunctions[rng.integers(len(conjunctions))]
            other = int(rng.integers(len(self._texts)))
            return self._of(f"{self._texts[row]}{joint}{self._texts[other]}", row, other)
        return _Made(self._texts[row], row, self._weights[row])

    def _crossed(self, row: int, rng: np.random.Generator) -> _Made:
        """The beginning of a text up to some word, continued by the rest of another text from the same word on."""
        words = self._texts[row].split()
        if not words:
            return _Made(self._texts[row], row, self._weights[row])
        cut = int(rng.integers(len(words)))
        others = self._where[words[cut]]
        other, position = others[rng.integers(len(others))]
        return self._of(
            " ".join((words[:cut] + self._texts[other].split()[position:])[:_LONGEST_WORDS]), row, other
        )  # fmt: skip

    def _of(self, text: str, row: int, other: int) -> _Made:
        return _Made(text, -1, self._weights[row] * self._weights[other])
