"""What all recipes have in common. A recipe fully determines one training run; unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ..data.spec import DataSpec
from ..frozen import Frozen
from ..labels import Task


class Decide(Frozen):
    """How thresholds and calibration are fitted, on the validation split only."""

    calibration: Literal["temperature", "none"] = "temperature"
    """``temperature``: one number divides all logits; ``none``: they stay as they are."""
    thresholds: Literal["per-label", "fixed"] = "per-label"
    """multilabel: each label has a threshold of its own, or all have the same."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """The threshold of every label if ``thresholds = "fixed"``."""
    min_gain: int = Field(default=3, ge=1)
    """A label's threshold only moves away from 0.5 if that makes at least this many fewer validation errors."""
    reject_below: Literal["fitted"] | Annotated[float, Field(ge=0, lt=1)] = "fitted"
    """multiclass: out of scope if the most likely label is less probable than this; ``0`` never rejects."""
    keep: float = Field(default=0.995, gt=0, le=1)
    """multiclass: without validation rows that are out of scope, at least this share of the right answers is kept."""


class Recipe(Frozen):
    """The part of a recipe that all kinds share."""

    kind: str
    """How the bundle is made: ``linear``, ``encoder``, ``distilled``, or a kind of yours."""
    task: Task
    """``multilabel``: any number of labels per text, none included; ``multiclass``: exactly one."""
    seed: int = Field(default=0, ge=0)
    """All randomness of the run follows from it."""
    data: DataSpec
    decide: Decide = Decide()

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if self.task is Task.MULTICLASS and self.decide.thresholds == "fixed":
            raise ValueError("decide.thresholds is only for multilabel; for multiclass use decide.reject_below")
        if self.task is Task.MULTILABEL and self.decide.reject_below not in ("fitted", 0):
            raise ValueError("decide.reject_below is only for multiclass; for multilabel use decide.threshold")
        if self.task is Task.MULTILABEL and self.data.joint:
            raise ValueError("data.joint makes each combination one label and is only for multiclass; remove it")
        return self

    def parents(self) -> tuple[str, ...]:
        """The ids of the bundles that this recipe starts from."""
        return ()
