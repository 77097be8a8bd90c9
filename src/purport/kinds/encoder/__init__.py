"""Kind ``encoder``: a pretrained encoder with LoRA, IA³, full or no adaptation, pooled, with a linear head."""

from __future__ import annotations

from ..kind import Kind
from .recipe import EncoderRecipe

KIND = Kind(EncoderRecipe, fit="purport.kinds.encoder.fit:fit", opener="onnx", extra="train", distributed=True)
