"""Checks that a trained model must pass before it becomes a bundle. A kind provides its checks and their remedies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import CheckFailed
from ..labels import Task
from ..manifest import Calibration, Decision, PerLabel, Scope
from ..model import Answers, BoolArray, FloatArray, Model
from ..progress import Line, Reporter
from ..runtime.calibration import probabilities
from ..runtime.decision import decide

LEAST_AGREEMENT = 0.995
NEAR_TIE = 0.02  # of probability
LARGEST_CHANGE = 1e-3
_MOST_TEXTS = 512


@dataclass(frozen=True)
class Subject:
    """A model about to become a bundle, and its answers to the validation ``texts`` in random batches.

    ``whole`` are those before long texts are read by sentences (:mod:`~purport.runtime.long_texts`).
    """

    model: Model
    task: Task
    calibration: Calibration
    scope: Scope | None
    decision: Decision
    texts: Sequence[str]
    whole: Answers
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

    With ``gold (n_valid, n_labels) bool``, rows that the trained model itself decides by less than 0.02 of probability
    may differ too, if no more than 0.5 % of all rows, or one, are right before and not afterwards in total.
    """

    reference: FloatArray
    remedy: str
    gold: BoolArray | None = None

    def __call__(self, subject: Subject) -> dict[str, float]:
        """See :data:`Check`."""
        reference = probabilities(self.reference, subject.task, subject.calibration)
        before = decide(reference, subject.decision)
        after = decide(subject.whole.probabilities, subject.decision)
        other = ~after.same(before)
        rows, allowed = len(other), max(1, int((1 - LEAST_AGREEMENT) * len(other)))
        agreement = 1 - float(other.mean())
        measured = {"agreement_with_torch": round(agreement, 6)}
        same = f"makes the same decisions on {agreement:.2%} of {rows} validation rows"
        needed = f"(required: {LEAST_AGREEMENT:.1%}, or all but one)"
        if other.sum() <= allowed:
            subject.reporter.emit(Line(f"check: the exported model {same} {needed}"))
            return measured
        problem = ""
        if self.gold is not None:
            ties = other & near_ties(reference, before.labels, after.labels, subject.decision)
            lost = int((before.labels == self.gold).all(axis=1).sum() - (after.labels == self.gold).all(axis=1).sum())
            if (other & ~ties).sum() <= allowed and lost <= allowed:
                subject.reporter.emit(Line(f"check: the exported model {same}; {_tied(int(ties.sum()), lost)}"))
                return {**measured, "near_ties": float(ties.sum())}
            problem = f", {int(ties.sum())} of the others are near ties, and {max(lost, 0)} fewer rows are right"
        subject.reporter.emit(Line(f"this export is not used, because it {same} {needed}"))
        raise CheckFailed(
            f"the exported model makes the same decisions as the trained model on only {agreement:.2%} of "
            f"{rows} validation rows ({LEAST_AGREEMENT:.1%} required){problem}; {self.remedy}"
        )


def near_ties(reference: FloatArray, before: BoolArray, after: BoolArray, decision: Decision) -> BoolArray:
    """Which rows of ``before (n, n_labels)`` and ``after`` differ only where ``reference`` all but touches a limit."""
    differ, best = before != after, reference.max(axis=1, keepdims=True)
    both = before.any(axis=1, keepdims=True) & after.any(axis=1, keepdims=True)
    lowest = decision.likeliest_at if isinstance(decision, PerLabel) else decision.reject_below
    # Another label is as probable as the likeliest, or this is as probable as the limit to decide none.
    close = np.where(both, best - reference < NEAR_TIE, np.abs(best - lowest) < NEAR_TIE)
    if isinstance(decision, PerLabel):
        alone = (before.sum(axis=1, keepdims=True) < 2) & (after.sum(axis=1, keepdims=True) < 2) & (lowest < 1)
        close = (close & alone) | (np.abs(reference - np.array(decision.thresholds, dtype=np.float32)) < NEAR_TIE)
    tied: BoolArray = (close | ~differ).all(axis=1)
    return tied


def _tied(ties: int, lost: int) -> str:
    right = f"rows that are right: {-lost:+d}" if lost else "as many rows are right"
    return f"that is enough, because {ties} of the others are near ties (within {NEAR_TIE} of probability); {right}"


@dataclass(frozen=True)
class Independence:
    """The answer to a text does not depend on the other texts in its batch.

    Validation texts that were answered in random batches are answered again alone. No decision may change, and no
    probability may change by more than 1e-3. Models with the trait ``batch_invariant=False`` are not checked.
    At most ``most`` texts are answered again.
    """

    remedy: str = "if that is intended, set batch_invariant=False in the traits of the model"
    most: int = _MOST_TEXTS

    def __call__(self, subject: Subject) -> dict[str, float]:
        """See :data:`Check`."""
        if not subject.model.traits.batch_invariant:
            return {}
        rows = np.random.default_rng(subject.seed).permutation(len(subject.texts))[: self.most]
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
