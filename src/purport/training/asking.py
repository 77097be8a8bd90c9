"""Asks models and scorers about many texts: in batches, and in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from ..kinds.run import Rows
from ..model import Answers, FloatArray, Model
from ..progress import SILENT, Progress, Reporter
from ..runtime.calibration import Scorer, Scores

_SIZE = 1024
_ANSWERED = ("probabilities", "in_scope", "truncated")
_SCORED = ("logits", "truncated", "embedding", "familiar")


def scores_of(
    scorer: Scorer,
    texts: Sequence[str],
    reporter: Reporter = SILENT,
    *,
    size: int | None = None,
    order: NDArray[np.intp] | None = None,
) -> Scores:
    """The scores of ``texts``, asked for in batches of ``size`` and in this ``order``.

    Raises:
        TrainingError: they are not as many as the texts.
    """
    size = size or scorer.traits.max_batch or _SIZE
    return Scores(*_ask(texts, size, order, reporter, scorer.score, _SCORED))


def answers_of(
    model: Model,
    texts: Sequence[str],
    reporter: Reporter = SILENT,
    *,
    size: int | None = None,
    order: NDArray[np.intp] | None = None,
) -> Answers:
    """The answers to ``texts``, likewise."""
    return Answers(*_ask(texts, size or model.traits.max_batch or _SIZE, order, reporter, model.answer, _ANSWERED))


def labelled_embeddings(
    scorer: Scorer, rows: Rows, reporter: Reporter = SILENT
) -> tuple[NDArray[np.intp], FloatArray | None]:
    """Which of ``rows`` have a label, and the embeddings of these."""
    labelled = np.flatnonzero(rows.gold.any(axis=1))
    return labelled, scores_of(scorer, [rows.texts[row] for row in labelled.tolist()], reporter).embedding


def _ask(
    texts: Sequence[str],
    size: int,
    order: NDArray[np.intp] | None,
    reporter: Reporter,
    call: Callable[[Sequence[str]], Any],
    fields: Sequence[str],
) -> list[Any]:
    """``fields`` of the results of ``call`` for all ``texts``; ``None`` for those that the results do not have."""
    order = np.arange(len(texts)) if order is None else order
    parts = []
    for start in range(0, len(order), size):
        parts.append(call([texts[int(row)] for row in order[start : start + size]]))
        reporter.emit(Progress("classifying", min(start + size, len(order)), len(order), "texts"))
    held = [[getattr(part, name) for part in parts] for name in fields]
    joined = [None if values[0] is None else np.concatenate([np.asarray(each) for each in values]) for values in held]
    found = [values for values in joined if values is not None]
    if any(len(values) != len(order) for values in found):
        counts = ", ".join(str(len(values)) for values in found)
        raise TrainingError(f"the model returned {counts} rows for {len(order)} texts; correct the kind's model")
    back = np.argsort(order)
    return [None if values is None else values[back] for values in joined]
