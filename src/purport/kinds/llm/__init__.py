"""Kind ``llm``: a large language model behind a service, asked with a prompt; nothing is trained."""

from __future__ import annotations

from ..kind import Kind
from .recipe import LlmRecipe

KIND = Kind(LlmRecipe, fit="purport.kinds.llm.fit:fit", opener="llm", extra="train")
