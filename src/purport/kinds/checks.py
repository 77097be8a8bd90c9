"""Checks that a trained model must pass before it becomes a bundle. A kind provides its checks and their remedies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CheckFailed
from ..labels import Task
from ..manifest import Calibration, Decision, Scope
from ..model import Answers, FloatArray, Model
from ..progress import Line, Reporter
from ..runtime.calibration import probabilities
from ..runtime.decision import decide

LEAST_AGREEMENT = 0.995
LARGEST_CHANGE = 1e-3
_MOST_TEXTS = 512


@dataclass(frozen=True)
class Subject:
    """A model about to become a bundle, and its answers to the validation ``texts`` in random batches."""

    model: Model
    task: Task
    calibration: Calibration
    scope: Scope | None
    decision: Decision
    texts: Sequence[str]
    answers: Answers
    seed: int
    reporter: Reporter


Check = Callable[[Subject], dict[str, float]]
"""Returns measured values for the manifest, or raises :class:`CheckFailed` with a message that says what to do."""


@dataclass(frozen=True)
class Agreement:
    """The exported model makes the same decisions as the trained model on 99.5 % of the validation rows.

    One different row is always allowed, because in a small split it is more than 0.5 %. ``reference`` has the logits
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
                f"check: the exported model makes the same decisions on {agreement:.2%} of {len(same)} validation rows "
                f"(required: {LEAST_AGREEMENT:.1%}, or all but one)"
            )
        )
        if agreement < LEAST_AGREEMENT and (~same).sum() > 1:
            raise CheckFailed(
                f"the exported model makes the same decisions as the trained model on only {agreement:.2%} of "
                f"{len(same)} validation rows ({LEAST_AGREEMENT:.1%} required); {self.remedy}"
            )
        return {"agreement_with_torch": round(agreement, 6)}


@dataclass(frozen=True)
class Independence:
    """The answer to a text does not depend on the other texts in its batch.

    Validation texts that were answered in random batches are answered again alone. No decision may change, and no
    probability may change by more than 1e-3. Models with the trait ``batch_invariant=False`` are not checked.
    """

    remedy: str = "if that is intended, set batch_invariant=False in the traits of the model"

    def __call__(self, subject: Subject) -> dict[str, float]:
        """See :data:`Check`."""
        if not subject.model.traits.batch_invariant:
            return {}
        rows = np.random.default_rng(subject.seed).permutation(len(subject.texts))[:_MOST_TEXTS]
        together = subject.answers.probabilities[rows]
        asked = [subject.model.answer([subject.texts[int(row)]]) for row in rows]
        alone = np.concatenate([each.probabilities for each in asked])
        scope_alone, scope = np.concatenate([each.in_scope for each in asked]), subject.answers.in_scope[rows]
        change = float(max(np.abs(alone - together).max(), np.abs(scope_alone - scope).max()))
        decided = decide(together, subject.decision, scope)
        flips = int((~decide(alone, subject.decision, scope_alone).same(decided)).sum())
        subject.reporter.emit(
            Line(
                f"check: {flips} of {len(rows)} decisions change when a text is classified alone instead of in a batch "
                f"(allowed: 0); largest change of a probability: {change:.1e} (allowed: {LARGEST_CHANGE:g})"
            )
        )
        if flips or change > LARGEST_CHANGE:
            raise CheckFailed(
                f"answers depend on the other texts in a batch: {flips} of {len(rows)} decisions change, and a "
                f"probability changes by {change:.1e} ({LARGEST_CHANGE:g} allowed); {self.remedy}"
            )
        return {"batch_flips": float(flips), "batch_change": round(change, 9)}
