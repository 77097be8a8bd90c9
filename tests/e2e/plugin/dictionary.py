"""A kind of bundle that answers from a Python dictionary: the labels of a text are those of the words in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from purport import Bundle
from purport.kinds.kind import Kind
from purport.kinds.recipe import Recipe
from purport.kinds.run import Fitted, Run
from purport.manifest import ModelFacts
from purport.model import Answers, Lengths, Traits

FILE = "words.json"


class DictionaryRecipe(Recipe):
    kind: Literal["dictionary"] = "dictionary"
    longest: int = Field(default=200, ge=1)


class DictionaryModel:
    traits = Traits()

    def __init__(self, words: dict[str, int], n_labels: int, longest: int) -> None:
        self._words, self._n_labels, self._longest = words, n_labels, longest

    def answer(self, texts: Sequence[str]) -> Answers:
        probabilities = np.full((len(texts), self._n_labels), 0.01, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split()[: self._longest]:
                if word in self._words:
                    probabilities[row, self._words[word]] = 0.9
        return Answers(probabilities, probabilities.max(axis=1), self.lengths(texts).counts > self._longest)

    def lengths(self, texts: Sequence[str]) -> Lengths:
        return Lengths("words", self._longest, np.array([len(text.split()) for text in texts], dtype=np.int64))


def open_model(bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> DictionaryModel:
    words = json.loads((bundle.path / FILE).read_text("utf-8"))
    return DictionaryModel(words, len(bundle.labels), bundle.manifest.model.limit)


def fit(run: Run[DictionaryRecipe]) -> Fitted:
    gold = run.train.gold.argmax(axis=1).tolist()
    words = {word: label for text, label in zip(run.train.texts, gold, strict=True) for word in text.lower().split()}
    (run.stage / FILE).write_text(json.dumps(words), "utf-8")
    longest = run.recipe.longest
    return Fitted(DictionaryModel(words, len(run.labels), longest), ModelFacts(limit=longest, unit="words"))


KIND = Kind(DictionaryRecipe, fit=fit, opener="dictionary")
