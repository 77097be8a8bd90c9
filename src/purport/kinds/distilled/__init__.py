"""Kind ``distilled``: a small encoder, trained to reproduce the decisions of a larger one, or of any bundle."""

from __future__ import annotations

from ..kind import Kind
from .recipe import DistilledRecipe

KIND = Kind(DistilledRecipe, fit="purport.kinds.distilled.fit:fit", opener="onnx", extra="train")
