"""Scores of training rows from models that did not see them, where validation rows are too few to calibrate on."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.shares import groups
from ..evaluation.sentences import ENOUGH_ROWS
from ..kinds.kind import Fit
from ..kinds.run import Rows, Run
from ..labels import Task
from ..manifest import Calibration, Scope
from ..model import Answers, BoolArray, FloatArray
from ..progress import SILENT
from ..runtime.asking import ask
from ..runtime.calibration import Scorer, Scores, probabilities
from ..runtime.memory import Memory
from ..runtime.scope import evidence, in_scope, likeliest, signals

_QUICK_FOLDS = 5


@dataclass(frozen=True)
class HeldOut:
    """``n`` rows as models saw them that were not trained on them.

    Attributes:
        logits: ``(n, n_labels) float32``.
        gold: ``(n, n_labels) bool``.
        signals: ``(n, n_signals) float64`` for :mod:`.scoping`; ``None`` if the model has no embeddings.
    """

    logits: FloatArray
    gold: BoolArray
    signals: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.logits)

    @classmethod
    def of(cls, scores: Scores, gold: BoolArray, run: Run[Any], memory: Memory | None) -> HeldOut:
        """Rows with these ``scores`` and labels."""
        found = None
        if memory is not None and scores.embedding is not None:
            found = signals(scores.logits, scores.embedding, scores.familiar, run.recipe.task, memory)
        return cls(scores.logits, gold, found)

    def answers(self, task: Task, calibration: Calibration, scope: Scope | None) -> Answers:
        """The answers to these rows."""
        proba = probabilities(self.logits, task, calibration)
        scoped = scope is not None and self.signals is not None
        inside = in_scope(evidence(self.signals, scope), scope) if scoped else likeliest(proba)  # type: ignore[arg-type]
        return Answers(proba, inside, np.zeros(len(self), dtype=np.bool_))

    def and_more(self, other: HeldOut | None) -> HeldOut:
        """These rows and those of ``other``."""
        if other is None:
            return self
        found = None
        if self.signals is not None and other.signals is not None:
            found = np.concatenate([self.signals, other.signals])
        return HeldOut(np.concatenate([self.logits, other.logits]), np.concatenate([self.gold, other.gold]), found)


def folds_of(run: Run[Any], *, quick_kind: bool) -> int:
    """Into how many folds the training rows are to be divided: 0 for none, as always under ``torchrun``."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return 0
    chosen: int | str = run.recipe.decide.cross_fit
    if chosen == "auto":
        chosen = _QUICK_FOLDS if quick_kind and len(run.valid) < ENOUGH_ROWS else 0
    return min(int(chosen), len(run.train) // 2)


def cross_fit(run: Run[Any], fit: Fit, folds: int) -> HeldOut | None:
    """Train on all ``folds`` but one, in turn, and score the rows of the one; near-duplicates share a fold.

    ``None`` if there are no folds, or the kind's model has no logits.
    """
    if folds < 2:
        return None
    from ..evaluation import quick  # needs what training needs

    texts, gold = run.train.texts, run.train.gold
    keys = [str(group) for group in groups(texts)]
    fold_of = quick.folds(keys, [tuple(map(str, np.flatnonzero(row))) for row in gold], folds, run.recipe.seed)
    found: HeldOut | None = None
    for fold in range(folds):
        run.say(f"calibrating on training rows: fold {fold + 1} of {folds}")
        inside, outside = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        if not len(outside) or not gold[inside].any():
            continue
        with tempfile.TemporaryDirectory(prefix="purport-fold-") as work:
            stage = Path(work, "stage")
            stage.mkdir()
            part = replace(
                run, train=run.train.some(inside), stage=stage, work=Path(work), resume=False, reporter=SILENT
            )
            fitted = fit(part)
            if fitted is None or not isinstance(fitted.model, Scorer):
                return None
            size = fitted.model.traits.max_batch
            scores = ask(fitted.model.score, [texts[row] for row in outside.tolist()], size=size)
            more = HeldOut.of(scores, gold[outside], run, _memory(fitted.model, part.train))
        found = more if found is None else found.and_more(more)
    return found


def _memory(scorer: Scorer, rows: Rows) -> Memory | None:
    labelled = np.flatnonzero(rows.gold.any(axis=1))
    texts = [rows.texts[row] for row in labelled.tolist()]
    embedding = ask(scorer.score, texts, size=scorer.traits.max_batch).embedding
    if embedding is None:
        return None
    return Memory.of(embedding, rows.gold[labelled], np.zeros(len(labelled), dtype=np.uint64))
