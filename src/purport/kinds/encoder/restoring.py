"""The trained model of a bundle, as it was before export."""

from __future__ import annotations

from safetensors.torch import load_file

from ...bundle import Bundle
from .adapters import adapt
from .network import IntentModel, load_encoder
from .recipe import EncoderRecipe

WEIGHTS = "trained.safetensors"
"""The weights that training changes, in the directory ``adapter`` of a bundle."""


def build(recipe: EncoderRecipe, n_labels: int) -> IntentModel:
    """The model that ``recipe`` trains, with its adapters."""
    encoder = load_encoder(recipe.model)
    width: int = encoder.config.hidden_size  # type: ignore[union-attr,assignment]
    return IntentModel(adapt(encoder, recipe.adapter), width, n_labels, recipe.task, recipe.model)


def restored(bundle: Bundle, recipe: EncoderRecipe) -> IntentModel:
    """The trained model of ``bundle``, with its adapters, as it was before export.

    Raises:
        RecipeError: the encoder that it was trained from cannot be loaded.
    """
    model = build(recipe, len(bundle.labels))
    model.load_state_dict(load_file(bundle.path / "adapter" / WEIGHTS), strict=False)
    return model.eval()
