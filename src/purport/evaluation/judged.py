"""Answers as a promise sees them: in scope or not, answered or not, right or wrong, in the order of their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..manifest import Decision
from ..model import Answers, BoolArray, FloatArray
from ..promise import ScoreCounts
from ..runtime.decision import acceptance, decide
from .bounds import Accepted, Values

_EDGES = 40


@dataclass(frozen=True)
class Judged:
    """Answers to rows: acceptance ``score (n,)``, and whether each row has a label (``inside``), is answered if no
    answer is held back (``given``), and is then ``wrong``; all ``(n,) bool``."""

    score: FloatArray
    inside: BoolArray
    given: BoolArray
    wrong: BoolArray

    @classmethod
    def of(cls, answers: Answers, gold: BoolArray, decision: Decision) -> Judged:
        """The answers to rows with labels ``gold (n, n_labels or more) bool``, with ``decision`` but for its cut.

        A row whose labels are all unknown to the model, in the columns beyond its own, is out of scope.
        """
        known = answers.probabilities.shape[1]
        free = decision.model_copy(update={"accept_at": 0.0})
        decided = decide(answers.probabilities, free, answers.in_scope)
        score = acceptance(answers.probabilities, decided.labels, free, answers.in_scope)
        given = np.logical_not(decided.out_of_scope)
        wrong: BoolArray = (decided.labels != gold[:, :known]).any(axis=1) | gold[:, known:].any(axis=1)
        return cls(score, np.asarray(gold[:, :known].any(axis=1)), given, wrong & given)

    def above(self, cut: float) -> BoolArray:
        """Which rows get an answer if answers with a score below ``cut`` are held back."""
        return np.asarray(self.given & (self.score >= np.float32(cut)))

    def accepted(self, cuts: FloatArray) -> Accepted:
        """What is answered with each of ``cuts (n_cuts,)``."""

        def above(mask: BoolArray) -> Values:
            found = np.sort(self.score[mask])
            return np.asarray(len(found) - np.searchsorted(found, cuts, "left"), dtype=np.float64)

        inside, given = self.inside, self.given
        return Accepted(
            inside=np.full(len(cuts), float(inside.sum())),
            outside=np.full(len(cuts), float((~inside).sum())),
            answered=above(given & inside),
            wrong=above(self.wrong & inside),
            strange=above(given & ~inside),
        )


def score_counts(rows: Judged) -> ScoreCounts:
    """The distribution of the acceptance scores, at up to 40 quantiles of them."""
    quantiles = np.quantile(rows.score.astype(np.float64), np.linspace(0, 1, _EDGES + 2)[1:-1])
    edges = np.unique(quantiles.round(6))
    inside, outside = (
        [*np.searchsorted(np.sort(rows.score[mask].astype(np.float64)), edges, "left").tolist(), int(mask.sum())]
        for mask in (rows.inside, ~rows.inside)
    )
    return ScoreCounts(edges=tuple(edges.tolist()), inside=tuple(inside), outside=tuple(outside))
