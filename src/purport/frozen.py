"""The base of every typed document: manifest, recipe, evaluation, report."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable; a field that is not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
