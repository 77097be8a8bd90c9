"""Recipes of kind ``cascade``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from ...bundle import Bundle
from ...frozen import Frozen
from ..recipe import Recipe
from .target import WrittenTarget


class Stages(Frozen):
    """The bundles of a cascade, and what it is for."""

    bundles: tuple[str, ...] = Field(min_length=2, max_length=8)
    """Directories or shipped names of bundles with the same task and labels, the cheapest first. They are copied."""
    target: tuple[WrittenTarget, ...] = ()
    """What must hold on the validation rows: ``"points_lost <= 0.2"`` (percentage points of rows exactly right, against
    the last bundle alone; the default), ``"passed_on <= 0.05"`` (of the texts, the share that reaches the last bundle),
    ``"p95_ms <= 20"`` (95 % of the texts, asked alone on this machine, take no longer), ``"cost <= 1 per 1000"`` (US
    dollars that services take for 1,000 texts), or a list of these."""

    @field_validator("target", mode="before")
    @classmethod
    def _one_target(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class CascadeRecipe(Recipe):
    """Kind ``cascade``: nothing is trained; the validation rows say from which score on a stage settles a text."""

    kind: Literal["cascade"] = "cascade"
    stages: Stages

    def parents(self) -> tuple[str, ...]:
        """The ids of the stages."""
        return tuple(Bundle.open(ref).manifest.id for ref in self.stages.bundles)
