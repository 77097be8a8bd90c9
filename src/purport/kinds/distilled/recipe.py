"""Recipes of kind ``distilled``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ...bundle import Bundle
from ...frozen import Frozen
from ..encoder.recipe import Adapter, EncoderModel, Export, Precision
from ..recipe import Recipe


class Teacher(Frozen):
    """The teacher of a distilled model, and the layers with which the student starts."""

    bundle: str
    """Directory or shipped name of a bundle of any kind with the same task and labels. The student has layers of a
    teacher of kind ``encoder``; of any other one, it learns the probabilities."""
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    """The layers of a teacher of kind ``encoder`` that the student keeps, in order; by default ``[0, 2, 5]``."""


class Teaching(Frozen):
    """Optimisation settings for the student, and the texts that it learns from."""

    steps: int = Field(default=1_500, ge=1)
    """Steps of the optimiser."""
    batch_size: int = Field(default=64, ge=1)
    """Texts per step."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """The highest one."""
    head_learning_rate: float = Field(default=5e-3, gt=0)
    """Of the head of a student that has no layers of its teacher."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of AdamW."""
    warmup: int = Field(default=100, ge=1)
    """Number of steps until the full learning rate is reached."""
    save_steps: int = Field(default=250, ge=1)
    """Save a checkpoint every so many steps."""
    precision: Precision = "auto"
    """As for the kind ``encoder``."""
    logits_weight: float = Field(default=0.05, ge=0)
    """Weight of the squared error of the logits, in addition to the cross-entropy with the teacher's probabilities."""
    hidden_weight: float = Field(default=10.0, ge=0)
    """Weight of the squared error of the last hidden states."""
    crossed: float = Field(default=0.55, ge=0, le=1)
    """Share of texts that start as one training text and continue as another from a word that both contain."""
    composed: float = Field(default=0.10, ge=0, le=1)
    """Share of texts that are two training texts joined by a conjunction."""
    noise: float = Field(default=0.5, ge=0, le=1)
    """Share of texts that are read with typing errors, as for the kind ``encoder``."""
    conjunctions: tuple[str, ...] = Field(default=(" and ", " ", " also ", " and also "), min_length=1)
    """What may stand between two texts that are put together."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.crossed + self.composed > 1:
            raise ValueError("crossed and composed are shares of the same texts, so their sum may not exceed 1")
        return self


class DistilledRecipe(Recipe):
    """Kind ``distilled``: a small encoder, trained to reproduce the decisions of a larger one, or of any bundle."""

    kind: Literal["distilled"] = "distilled"
    teacher: Teacher
    model: EncoderModel | None = None
    """The student's encoder, as for the kind ``encoder``. Without it, the student has layers of its teacher, or is
    ``minilm`` where the teacher is no encoder."""
    adapter: Adapter | None = None
    """Which weights of that encoder are trained, as for the kind ``encoder``."""
    fit: Teaching = Teaching()
    export: Export = Export()

    @model_validator(mode="after")
    def _student_is_clear(self) -> Self:
        if self.model is not None and self.teacher.layers is not None:
            raise ValueError("teacher.layers makes the student of its teacher, model of another encoder; remove one")
        return self

    def parents(self) -> tuple[str, ...]:
        """The id of the teacher."""
        return (Bundle.open(self.teacher.bundle).manifest.id,)
