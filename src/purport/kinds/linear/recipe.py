"""Recipes of kind ``linear``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ...frozen import Frozen
from ..recipe import Recipe
from .ngrams import Ngrams


class LinearModel(Frozen):
    """TF-IDF and linear support vector machines."""

    words: tuple[int, int] = (1, 2)
    """Shortest and longest sequence of words that is a feature."""
    characters: tuple[int, int] = (2, 5)
    """The same for sequences of characters."""
    min_count: int = Field(default=2, ge=1)
    """n-grams that occur in fewer training texts are ignored."""
    max_features: int = Field(default=100_000, ge=1)
    """The most frequent n-grams that are kept."""
    c: float = Field(default=1.0, gt=0)
    """Inverse strength of the regularisation."""
    class_weight: Literal["none", "balanced"] = "balanced"
    """``balanced``: the rows that have a label weigh as much as those that have not."""

    @model_validator(mode="after")
    def _has_features(self) -> Self:
        self.ngrams()
        return self

    def ngrams(self) -> Ngrams:
        """The features."""
        return Ngrams(words=self.words, characters=self.characters, splitting=2)


class LinearRecipe(Recipe):
    """Kind ``linear``: trains in seconds, and is the baseline that larger models have to beat."""

    kind: Literal["linear"] = "linear"
    model: LinearModel = LinearModel()
