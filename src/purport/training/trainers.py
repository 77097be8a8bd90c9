"""The built-in kinds of trainer, registered in the entry-point group ``purport.trainers``.

Light on import: the libraries that train are imported when training starts.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from .recipe import DistilledRecipe, EncoderRecipe, LinearRecipe, Recipe
from .run import Fitted, Run


class Trainer(Protocol):
    """A kind of training: its recipe, and the step from data to model files."""

    recipe_type: ClassVar[type[Recipe]]

    def fit(self, run: Run[Any]) -> Fitted | None:
        """Train on ``run.train``, choose on ``run.valid``, write the model files into ``run.stage``.

        Returns ``None`` in processes that only help another one (all but the first under ``torchrun``).
        """
        ...


class LinearTrainer:
    """TF-IDF of word and character n-grams with one linear support vector machine per label."""

    recipe_type: ClassVar[type[Recipe]] = LinearRecipe

    def fit(self, run: Run[LinearRecipe]) -> Fitted:
        """See :class:`Trainer`."""
        from .linear import fit

        return fit(run)


class EncoderTrainer:
    """A pretrained encoder with LoRA, IA³, full or no adaptation, pooled, with a linear head."""

    recipe_type: ClassVar[type[Recipe]] = EncoderRecipe

    def fit(self, run: Run[EncoderRecipe]) -> Fitted | None:
        """See :class:`Trainer`."""
        from .encoder import fit

        return fit(run)


class DistilledTrainer:
    """Some layers of a trained encoder, taught to decide as all of them do."""

    recipe_type: ClassVar[type[Recipe]] = DistilledRecipe

    def fit(self, run: Run[DistilledRecipe]) -> Fitted:
        """See :class:`Trainer`."""
        from .distil import fit

        return fit(run)
