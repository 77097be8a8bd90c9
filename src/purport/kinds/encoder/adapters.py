"""Selects the weights to train: LoRA (Hu et al. 2021), IA³ (Liu et al. 2022), all, or only the head."""

from __future__ import annotations

from typing import Any

from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from torch import nn

from ...errors import RecipeError
from .recipe import Adapter


def adapt(encoder: nn.Module, adapter: Adapter) -> nn.Module:
    """``encoder`` with the adapter's weights added, or frozen.

    Raises:
        RecipeError: the encoder has no modules that match ``adapter.targets``.
    """
    if adapter.method == "full":
        return encoder
    if adapter.method == "frozen":
        encoder.requires_grad_(False)
        return encoder
    try:
        adapted: nn.Module = get_peft_model(encoder, _config(encoder, adapter))
        return adapted
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(
            f"adapter.targets {adapter.targets!r} does not match the encoder: {reason}; try all-linear"
        ) from None


def _config(encoder: nn.Module, adapter: Adapter) -> Any:
    targets = "all-linear" if adapter.targets == "all-linear" else list(adapter.targets)
    if adapter.method == "lora":
        return LoraConfig(
            r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout, target_modules=targets
        )
    if targets == "all-linear":
        targets = sorted({name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)})
    return IA3Config(target_modules=targets, feedforward_modules=[])


def merged(encoder: nn.Module) -> nn.Module:
    """The plain encoder, with the adapter merged into its weights."""
    if isinstance(encoder, PeftModel):
        plain: nn.Module = encoder.merge_and_unload()
        return plain
    return encoder
