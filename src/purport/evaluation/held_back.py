"""Which answers a bundle holds back on some rows, and how many of those that it gives are wrong."""

from __future__ import annotations

import numpy as np

from ..frozen import Frozen
from ..manifest import Manifest
from ..promise import Promised
from . import curves
from .evaluate import Answered
from .judged import Judged


class Acceptance(Frozen):
    """Which answers are held back: the share of wrong answers (risk) by the share of rows that are answered.

    ``curve`` goes from the highest acceptance score down; ``answered`` and ``risk`` are those of the bundle's decision,
    and ``promise`` is what it promises of them. ``out_of_scope`` is the share of
    rows that are.
    """

    curve: curves.Curve
    answered: float
    out_of_scope: float
    risk: float | None
    promise: Promised | None


def acceptance_of(answered: Answered, manifest: Manifest) -> Acceptance:
    """The acceptance of answers by the bundle with this ``manifest``."""
    rows = Judged.of(answered.answers, answered.outcome.gold, manifest.decision)
    given, n = rows.above(manifest.decision.accept_at), len(answered.examples)
    return Acceptance(
        curve=curves.risk_coverage(rows.score[rows.given].astype(np.float64), rows.wrong[rows.given], n),
        answered=float(given.mean()),
        out_of_scope=float(1 - rows.inside.mean()),
        risk=float(rows.wrong[given].mean()) if given.any() else None,
        promise=manifest.promise,
    )
