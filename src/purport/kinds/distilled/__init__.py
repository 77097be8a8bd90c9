"""Kind ``distilled``: an encoder with fewer layers, trained to reproduce the decisions of a larger one."""

from __future__ import annotations

from ..kind import Kind
from .recipe import DistilledRecipe

KIND = Kind(DistilledRecipe, fit="purport.kinds.distilled.fit:fit", opener="onnx", extra="train")
