"""Fits the decision to the answers to the validation rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..kinds.recipe import Decide
from ..labels import Task
from ..manifest import Decision, Likeliest, PerLabel
from ..model import Answers, BoolArray, FloatArray
from ..runtime.decision import Decided, decide
from .fitting import fit_rejection, fit_thresholds

# Tried for the most likely label of a row of which no label reaches its threshold; of equally good ones, the first.
_LIKELIEST_AT = (0.45, 0.4, 0.35, 0.3, 0.25, 0.2)


def fit_decision(chosen: Decide, task: Task, answers: Answers, gold: BoolArray, *, scoped: bool) -> Decision:
    """The decision for ``answers`` to rows with labels ``gold (n, n_labels) bool``.

    ``scoped``: ``in_scope`` is more than the probability of the likeliest label, so that it is what decides about
    out of scope, unless thresholds are set by hand. Where something is promised, that decides (:mod:`.promising`).
    """
    if chosen.promise and task is Task.MULTICLASS:
        return Likeliest()
    decision = _labels(chosen, task, answers.probabilities, gold, scoped)
    cutting = scoped and chosen.reject_below == "fitted" and chosen.thresholds != "fixed"

    def whole(decision: Decision) -> tuple[int, Decision]:
        """``decision`` with its cut of ``in_scope``, and how many rows are right with it."""
        if cutting:
            none: BoolArray = np.logical_not(gold.any(axis=1))
            right = _right(decide(answers.probabilities, decision), gold) & ~none
            cut = fit_rejection(answers.in_scope, right, none, keep=chosen.keep)
            decision = decision.model_copy(update={"in_scope_at": cut})
        return _rows_right(decision, answers, gold), decision

    before, decision = whole(decision)
    if isinstance(decision, PerLabel) and decision.fitted:
        others = [whole(decision.model_copy(update={"likeliest_at": at})) for at in _LIKELIEST_AT]
        most, best = max(others, key=lambda each: each[0])
        decision = best if most - before >= chosen.min_gain else decision
    return decision.model_copy(update={"in_scope_at": 0.0}) if chosen.promise else decision


def better_decision(fitted: Decision, others: Sequence[Decision], answers: Answers, gold: BoolArray) -> Decision:
    """The decision with which most rows are right: the ``fitted`` one, unless one of ``others`` is better."""
    return max((fitted, *others), key=lambda each: _rows_right(each, answers, gold))


def _rows_right(decision: Decision, answers: Answers, gold: BoolArray) -> int:
    return int(_right(decide(answers.probabilities, decision, answers.in_scope), gold).sum())


def _right(decided: Decided, gold: BoolArray) -> BoolArray:
    """``(n,) bool``: whether exactly the labels of ``gold (n, n_labels)`` are decided."""
    return decided.same(Decided.of(gold))


def _labels(chosen: Decide, task: Task, probabilities: FloatArray, gold: BoolArray, scoped: bool) -> Decision:
    if task is Task.MULTICLASS:
        if chosen.reject_below != "fitted":
            return Likeliest(reject_below=chosen.reject_below)
        if scoped:
            return Likeliest(fitted=True)
        best = probabilities.argmax(axis=1)
        right, none = gold[np.arange(len(gold)), best], np.logical_not(gold.any(axis=1))
        below = fit_rejection(probabilities.max(axis=1), right, none, keep=chosen.keep)
        return Likeliest(reject_below=below, fitted=True)
    if chosen.thresholds == "fixed":
        return PerLabel(thresholds=(chosen.threshold,) * gold.shape[1], fitted=False)
    return PerLabel(thresholds=fit_thresholds(probabilities, gold, min_gain=chosen.min_gain))
