"""What a trained model must pass before it becomes a bundle. A kind brings its own checks, with their remedies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CheckFailed
from ..labels import Task
from ..manifest import Calibration, Decision
from ..model import Answers, FloatArray, Model
from ..progress import Line, Reporter
from ..runtime.calibration import probabilities
from ..runtime.decision import decide

LEAST_AGREEMENT = 0.995
LARGEST_CHANGE = 1e-3
_MOST_TEXTS = 512


@dataclass(frozen=True)
class Subject:
    """A model about to become a bundle, and what it answered to the validation ``texts`` in random batches."""

    model: Model
    task: Task
    calibration: Calibration
    decision: Decision
    texts: Sequence[str]
    answers: Answers
    seed: int
    reporter: Reporter


Check = Callable[[Subject], dict[str, float]]
"""Gives what it measured, for the manifest, or raises :class:`CheckFailed` with a message that says what to do."""


@dataclass(frozen=True)
class Agreement:
    """The deployed form decides as the trained model does on at least 99.5 % of validation rows, or all but one.

    One row of a small split is more than 0.5 %, and says nothing by itself. ``reference`` are the logits
    ``(n_valid, n_labels) float32`` of the model before export.
    """

    reference: FloatArray
    remedy: str

    def __call__(self, subject: Subject) -> dict[str, float]:
        """See :data:`Check`."""
        expected = decide(probabilities(self.reference, subject.task, subject.calibration), subject.decision)
        same = decide(subject.answers.probabilities, subject.decision).same(expected)
        agreement = float(same.mean())
        subject.reporter.emit(
            Line(
                f"check: same decisions as before export on {agreement:.2%} of {len(same)} validation rows "
                f"(required: {LEAST_AGREEMENT:.1%})"
            )
        )
        if agreement < LEAST_AGREEMENT and (~same).sum() > 1:
            raise CheckFailed(
                f"the exported model decides as the trained one on {agreement:.2%} of {len(same)} validation rows, "
                f"{LEAST_AGREEMENT:.1%} are required; {self.remedy}"
            )
        return {"agreement_with_torch": round(agreement, 6)}


@dataclass(frozen=True)
class Independence:
    """A text's answer does not depend on what else is in its batch.

    Validation texts, answered in random batches before, are answered alone: no other decision, and no probability
    that differs by more than 1e-3. A model whose traits say that its answers do depend is not asked.
    """

    remedy: str = "say batch_invariant=False in the traits of the model if that is meant"

    def __call__(self, subject: Subject) -> dict[str, float]:
        """See :data:`Check`."""
        if not subject.model.traits.batch_invariant:
            return {}
        rows = np.random.default_rng(subject.seed).permutation(len(subject.texts))[:_MOST_TEXTS]
        together = subject.answers.probabilities[rows]
        alone = np.concatenate([subject.model.answer([subject.texts[int(row)]]).probabilities for row in rows])
        change = float(np.abs(alone - together).max())
        flips = int((~decide(alone, subject.decision).same(decide(together, subject.decision))).sum())
        subject.reporter.emit(
            Line(
                f"check: {flips} of {len(rows)} decisions change when a text is answered alone (allowed: 0), "
                f"largest change of a probability {change:.1e} (allowed: {LARGEST_CHANGE:g})"
            )
        )
        if flips or change > LARGEST_CHANGE:
            raise CheckFailed(
                f"answers depend on batch-mates: {flips} of {len(rows)} decisions differ and a probability changes by "
                f"{change:.1e}, {LARGEST_CHANGE:g} is allowed; {self.remedy}"
            )
        return {"batch_flips": float(flips), "batch_change": round(change, 9)}
