"""What an exported model must pass before it becomes a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..bundle import Calibration, Decision
from ..errors import GateFailed
from ..labels import Task
from ..runtime import BoolArray, FloatArray, Scorer
from ..runtime.calibration import probabilities
from ..runtime.decision import decide
from .run import Fitted, Report, Run

LEAST_AGREEMENT = 0.995
LARGEST_CHANGE = 1e-3
_TEXTS = 512
_BATCH = 32


def same_decisions(
    logits: FloatArray, reference: FloatArray, task: Task, calibration: Calibration, decision: Decision
) -> BoolArray:
    """Which rows of ``logits`` and ``reference``, both ``(n, n_labels)``, are decided alike, ``(n,) bool``."""
    decided, expected = (decide(probabilities(each, task, calibration), task, decision) for each in (logits, reference))
    same: BoolArray = (decided == expected).all(axis=1)
    return same


def check_agreement(
    fitted: Fitted, task: Task, calibration: Calibration, decision: Decision, report: Report
) -> dict[str, float]:
    """The deployed form decides as the trained model does on at least 99.5 % of validation rows, or all but one.

    One row of a small split is more than 0.5 %, and says nothing by itself.

    Raises:
        GateFailed: it does not.
    """
    assert fitted.reference_logits is not None, "checked by the caller"
    same = same_decisions(fitted.valid_logits, fitted.reference_logits, task, calibration, decision)
    agreement = float(same.mean())
    report(f"gate: same decisions as torch on {agreement:.2%} of {len(same)} validation rows (≥ {LEAST_AGREEMENT:.1%})")
    if agreement < LEAST_AGREEMENT and (~same).sum() > 1:
        raise GateFailed(
            f"the exported model decides as the trained one on {agreement:.2%} of {len(same)} validation rows, "
            f"{LEAST_AGREEMENT:.1%} are required; set export.quantize=none"
        )
    return {"agreement_with_torch": round(agreement, 6)}


def check_independence(fitted: Fitted, run: Run[Any], calibration: Calibration, decision: Decision) -> dict[str, float]:
    """A text's answer does not depend on what else is in its batch.

    Validation texts are answered alone and inside random batches: no other decision, and no probability
    that differs by more than 1e-3.

    Raises:
        GateFailed: one is.
    """
    task = run.recipe.task
    rng = np.random.default_rng(run.recipe.seed)
    texts = [run.valid.texts[int(row)] for row in rng.permutation(len(run.valid))[:_TEXTS]]
    alone, together = alone_and_together(fitted.scorer, texts, task, calibration)
    change = float(np.abs(alone - together).max())
    flips = int((decide(alone, task, decision) != decide(together, task, decision)).any(axis=1).sum())
    run.report(
        f"gate: {len(texts)} texts alone and in random batches: {flips} other decisions (0), "
        f"largest change of a probability {change:.1e} (≤ {LARGEST_CHANGE:g})"
    )
    if flips or change > LARGEST_CHANGE:
        raise GateFailed(
            f"answers depend on batch-mates: {flips} of {len(texts)} decisions differ and a probability changes by "
            f"{change:.1e}, {LARGEST_CHANGE:g} is allowed; set export.quantize=none"
        )
    return {"batch_flips": float(flips), "batch_change": round(change, 9)}


def alone_and_together(
    scorer: Scorer, texts: Sequence[str], task: Task, calibration: Calibration
) -> tuple[FloatArray, FloatArray]:
    """Probabilities ``(n, n_labels)`` of ``texts`` each alone, and in batches of 32 in the given order."""
    alone = np.concatenate([scorer.score([text]).logits for text in texts])
    together = np.concatenate(
        [scorer.score(texts[start : start + _BATCH]).logits for start in range(0, len(texts), _BATCH)]
    )
    return probabilities(alone, task, calibration), probabilities(together, task, calibration)
