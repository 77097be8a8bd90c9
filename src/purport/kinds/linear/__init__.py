"""Kind ``linear``: TF-IDF of word and character n-grams with one linear support vector machine per label."""

from __future__ import annotations

from ..kind import Kind
from .recipe import LinearRecipe

KIND = Kind(LinearRecipe, fit="purport.kinds.linear.fit:fit", opener="linear", extra="train", quick=True)
