"""The input and the result of a kind's training function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..labels import LabelSet
from ..manifest import Decision, ModelFacts
from ..model import BoolArray, FloatArray, Model
from ..progress import SILENT, Line, Reporter
from ..runtime.calibration import Scorer
from ..runtime.scope import SIGNAL_WEIGHTS
from .checks import Check, Independence
from .recipe import Recipe

RecipeT = TypeVar("RecipeT", bound=Recipe)


@dataclass(frozen=True)
class Rows:
    """A split in memory: texts, and gold labels ``(n, n_labels) bool``.

    ``weights (n,) float32``, from 0 to 1, are what rows count in the loss; ``None`` if all count 1.
    """

    texts: Sequence[str]
    gold: BoolArray
    weights: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def some(self, rows: NDArray[np.intp]) -> Rows:
        """These ``rows``, in this order."""
        weights = None if self.weights is None else self.weights[rows]
        return Rows([self.texts[row] for row in rows.tolist()], self.gold[rows], weights)


@dataclass(frozen=True)
class Run(Generic[RecipeT]):
    """One training run.

    Attributes:
        stage: directory for the files of the bundle.
        work: directory for checkpoints and logs; it survives an interruption.
        resume: whether to resume from the latest checkpoint in ``work``.
    """

    recipe: RecipeT
    labels: LabelSet
    train: Rows
    valid: Rows
    stage: Path
    work: Path
    resume: bool = False
    reporter: Reporter = SILENT

    def say(self, text: str) -> None:
        """Report a message."""
        self.reporter.emit(Line(text))


@dataclass(frozen=True)
class Fitted:
    """A trained model as it will be deployed.

    Attributes:
        model: the deployed form, opened from the stage: a scorer, whose logits are then calibrated, or a model.
        facts: the facts about the model for the manifest.
        checks: the checks it must pass before it becomes a bundle, the fastest first.
        fallback: makes another form of the same model, which is tried if this one does not pass; it is told why.
        final: the facts once the run is over, if they tell about the run itself.
        weights: what the signals of ``in_scope`` weigh before validation rows without a label tell more.
        decisions: taken instead of the fitted one if more validation rows are right with it.
    """

    model: Scorer | Model
    facts: ModelFacts
    checks: Sequence[Check] = (Independence(),)
    fallback: Callable[[str], Fitted] | None = None
    weights: tuple[float, ...] = SIGNAL_WEIGHTS
    decisions: Sequence[Decision] = ()
    final: Callable[[], ModelFacts] | None = None
