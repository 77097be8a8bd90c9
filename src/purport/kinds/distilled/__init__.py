"""Kind ``distilled``: some layers of a trained encoder, taught to decide as all of them do."""

from __future__ import annotations

from ..kind import Kind
from .recipe import DistilledRecipe

KIND = Kind(DistilledRecipe, fit="purport.kinds.distilled.fit:fit", opener="onnx", extra="train")
