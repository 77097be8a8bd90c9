"""What a trainer is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..labels import LabelSet
from ..runtime import BoolArray, FloatArray, Scorer
from .recipe import Recipe

RecipeT = TypeVar("RecipeT", bound=Recipe)


@dataclass(frozen=True)
class Rows:
    """A split in memory: texts and gold ``(n, n_labels) bool``."""

    texts: Sequence[str]
    gold: BoolArray

    def __len__(self) -> int:
        return len(self.texts)


Report = Callable[[str], None]
"""Receives one line of progress."""


@dataclass(frozen=True)
class Run(Generic[RecipeT]):
    """One training run.

    Attributes:
        stage: where the files of the bundle go.
        work: where checkpoints and logs go; survives an interruption.
        resume: go on from the latest checkpoint in ``work``.
    """

    recipe: RecipeT
    labels: LabelSet
    train: Rows
    valid: Rows
    stage: Path
    work: Path
    resume: bool = False
    report: Report = print
    interactive: bool = False


@dataclass(frozen=True)
class Fitted:
    """A trained model as it will be deployed.

    Attributes:
        scorer: the deployed form, opened from the stage.
        model: what the manifest says of the model.
        valid_logits: ``(n_valid, n_labels) float32`` of the deployed form.
        reference_logits: the same of the model before export; ``None`` where nothing is lost in export.
        facts: what else is worth keeping (steps, best epoch ...).
    """

    scorer: Scorer
    model: Mapping[str, Any]
    valid_logits: FloatArray
    reference_logits: FloatArray | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
