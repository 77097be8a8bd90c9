"""Kind ``encoder``: a pretrained encoder (adapted with LoRA, IA³, fully or not at all), pooling and a linear head."""

from __future__ import annotations

from ..kind import Kind
from .recipe import EncoderRecipe

KIND = Kind(EncoderRecipe, fit="purport.kinds.encoder.fit:fit", opener="onnx", extra="train", distributed=True)
