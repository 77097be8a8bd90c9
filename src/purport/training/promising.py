"""Fits the cut below which answers are held back, so that promises hold with a stated certainty.

The method is Learn then Test (Angelopoulos, Bates, Candès, Jordan & Lei 2021) with fixed-sequence testing: cuts come
from validation rows, each is a hypothesis ("here the promise does not hold"), and calibration rows, which nothing else
was fitted on, reject it by an exact binomial bound. Cuts are tested from a strict one to looser ones until one is not
rejected. The chance that a rejected hypothesis is true is then at most ``1 - certainty``, however many are tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import PromiseConflict, PromiseUnkept
from ..evaluation.bounds import Accepted, Values, bound, lower, observed, upper
from ..evaluation.judged import Judged, score_counts
from ..kinds.recipe import Decide
from ..labels import LabelSet
from ..manifest import Decision
from ..model import Answers, BoolArray, FloatArray
from ..promise import Kept, LabelBound, Promised, ShareBound, Term
from ..runtime.decision import decide
from ..wording import count, percent
from .enough import certainty_of_each, require_rows, share_range
from .fitting import fit_rejection

_MOST_CUTS = 200
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
_LEAST_ANSWERS = 20  # of a label, for a bound of its own


def fit_promise(
    chosen: Decide, decision: Decision, labels: LabelSet, valid: tuple[Answers, BoolArray],
    held: tuple[Answers, BoolArray],
) -> Promised:  # fmt: skip
    """The cut that keeps ``chosen.promise``, fitted to answers and gold labels ``(n, n_labels) bool`` of rows ``held``.

    ``decision`` has no cut. ``valid`` are the rows that it was fitted on, which give the cuts to test and their order.
    Of the cuts that keep the promises, the loosest is taken, so that as many texts as possible are answered. If only a
    share of answers is promised, it is the one that separates right from wrong best, if that keeps the promise.

    Raises:
        RowsTooFew, PromiseUnkept, PromiseConflict: the promises cannot be kept.
    """
    before, rows = Judged.of(*valid, decision), Judged.of(*held, decision)
    inside, outside = int(rows.inside.sum()), int((~rows.inside).sum())
    require_rows(chosen, inside, outside)
    search = _Search(chosen, _cuts(before), before, rows, share_range(chosen, inside, outside)[1])
    errors = [term for term in chosen.promise if term.at_most]
    answering = [term for term in chosen.promise if not term.at_most]
    strictest = search.strictest(answering[0]) if answering else None
    at = search.loosest(errors) if errors else None
    if at is None:
        assert strictest is not None, "there is a promise of either kind"
        right, none = ~before.wrong & before.inside & before.given, np.logical_not(before.inside)
        cut = min(np.float32(fit_rejection(before.score, right, none, keep=chosen.keep)), search.cuts[strictest])
    elif strictest is not None and at > strictest:
        raise search.conflict(errors, answering[0], at, strictest)
    else:
        cut = search.cuts[at]
    return _promised(chosen, rows, float(cut), decision, held, labels)


def _cuts(before: Judged) -> FloatArray:
    """The cuts to test, rising from 0: up to 200 quantiles of the scores of answers, each between two of them."""
    scores = np.unique(before.score[before.given])
    if len(scores) > _MOST_CUTS:
        scores = scores[np.unique(np.linspace(0, len(scores) - 1, _MOST_CUTS).astype(int))]
    middle = ((scores[:-1].astype(np.float64) + scores[1:]) / 2).astype(np.float32)
    return np.concatenate([np.zeros(1, dtype=np.float32), np.unique(middle)])


@dataclass(frozen=True)
class _Search:
    """The cuts from loose to strict, and what can be said with each."""

    chosen: Decide
    cuts: FloatArray
    before: Judged
    rows: Judged
    worst: float

    def bounds(self, terms: Sequence[Term], counted: Accepted) -> Values:
        """The bounds of ``terms (n_terms, n_cuts)``."""
        return np.stack([bound(term, counted, self.worst, certainty_of_each(self.chosen)) for term in terms])

    def loosest(self, terms: Sequence[Term]) -> int:
        """The loosest cut for which the upper bounds keep ``terms``."""
        levels = np.array([[term.level] for term in terms])
        bounds = self.bounds(terms, self.rows.accepted(self.cuts))
        kept: BoolArray = np.asarray((bounds <= levels).all(axis=0))
        # Where the validation rows foresee the largest distance from the levels; of equal ones, the loosest.
        foreseen = (self.bounds(terms, self._foreseen()) / levels).max(axis=0)
        at = int(foreseen.argmin())
        if not kept[at]:
            raise self._unkept(terms, at, bounds[:, at])
        while at and kept[at - 1]:
            at -= 1
        return at

    def strictest(self, term: Term) -> int:
        """The strictest cut for which the lower bound keeps ``term``."""
        [bounds] = self.bounds([term], self.rows.accepted(self.cuts))
        if bounds[0] < term.level:
            raise self._unkept([term], 0, bounds[:1])
        below = np.flatnonzero(bounds < term.level)
        return int(below[0] - 1 if len(below) else len(bounds) - 1)

    def _foreseen(self) -> Accepted:
        """What the validation rows lead one to expect of as many rows as the calibration rows."""
        before = self.before
        seen = before.accepted(self.cuts)
        inside, outside = float(self.rows.inside.sum()), float((~self.rows.inside).sum())
        scale = inside / np.maximum(seen.inside, 1)
        counted = before.given & before.inside
        chance, order = wrong_by_score(before.score, before.wrong, counted)[counted], before.score[counted].argsort()
        below = np.concatenate([[0.0], chance[order].cumsum()])
        wrong = below[-1] - below[np.searchsorted(before.score[counted][order], self.cuts, "left")]
        return Accepted(
            inside=np.full(len(self.cuts), inside),
            outside=np.full(len(self.cuts), outside),
            answered=np.asarray(seen.answered) * scale,
            wrong=wrong * scale,
            strange=outside * (np.asarray(seen.strange) + 1) / (np.asarray(seen.outside) + 2),
        )

    def _at(self, at: int) -> Accepted:
        return self.rows.accepted(self.cuts[[at]])

    def _unkept(self, terms: Sequence[Term], at: int, bounds: Values) -> PromiseUnkept:
        """No cut keeps ``terms``; the cut ``at`` comes nearest."""
        here = self._at(at)
        where = f"where {percent(_share(here.answered, here.inside))} of the rows with a label are answered"
        said = []
        for term, reached in zip(terms, bounds.tolist(), strict=True):
            if (reached <= term.level) == term.at_most:
                continue
            seen, limit = float(observed(term, here, self.worst)[0]), "at most" if term.at_most else "at least"
            said.append(
                f"the calibration rows do not show {term} ({term.meaning}): {where}, it is {percent(seen)}, with "
                f"certainty {self.chosen.certainty:g} {limit} {percent(reached)}. {relaxed(term, reached)}, set more "
                "rows aside (data.calibration), or train a better model"
            )
        return PromiseUnkept("\n".join(said))

    def conflict(self, errors: Sequence[Term], answering: Term, at: int, strictest: int) -> PromiseConflict:
        """``errors`` need the cut ``at``, and ``answering`` a looser one, ``strictest``."""
        [left] = self.bounds([answering], self._at(at))[:, 0].tolist()
        there = self.bounds(errors, self._at(strictest))[:, 0].tolist()
        broken = [pair for pair in zip(errors, there, strict=True) if pair[1] > pair[0].level]
        here = self._at(at)
        needed = " and ".join(map(str, errors))
        then = " and ".join(f"{term.measure} is up to {percent(reached)}" for term, reached in broken)
        return PromiseConflict(
            f"{needed} and {answering} cannot both be promised: {needed} leaves "
            f"{percent(_share(here.answered, here.inside))} of the calibration rows with a label answered, certainly "
            f"{percent(left)}; with {answering}, {then or 'that is not shown'}. "
            f"{' '.join(f'{relaxed(term, reached)}.' for term, reached in [(answering, left), *broken])}"
        )


def wrong_by_score(score: FloatArray, wrong: BoolArray, counted: BoolArray) -> Values:
    """The probability that each row is ``wrong``, by its ``score``, all ``(n,)``: Platt's (1999) logistic curve.

    It is fitted to the ``counted`` rows. Counting alone would say too little of the strict cuts that few rows reach.
    """
    from sklearn.linear_model import LogisticRegression

    hits, n = int(wrong[counted].sum()), int(counted.sum())
    if not 0 < hits < n:
        return np.full(len(score), (hits + 1) / (n + 2))
    safe = np.clip(score.astype(np.float64), 1e-6, 1 - 1e-6)
    odds = np.log(safe / (1 - safe))[:, None]
    found: Values = LogisticRegression().fit(odds[counted], wrong[counted]).predict_proba(odds)[:, 1]
    return found


def relaxed(term: Term, reached: float) -> str:
    """A level in whole percent that the bound ``reached`` keeps."""
    level = np.ceil(100 * reached - 1e-9) / 100 if term.at_most else np.floor(100 * reached + 1e-9) / 100
    if not 0 < level < 1:
        return f"Leave {term.measure} out"
    return f"Relax it to {term.measure} {'<=' if term.at_most else '>='} {level:g}"


def _share(hits: Values | float, n: Values | float) -> float:
    return float(np.asarray(hits).sum() / max(np.asarray(n).sum(), 1))


def _promised(
    chosen: Decide, rows: Judged, cut: float, decision: Decision, held: tuple[Answers, BoolArray], labels: LabelSet
) -> Promised:
    """What is known of the calibration rows with this cut."""
    counted, certainty = rows.accepted(np.array([cut], dtype=np.float32)), certainty_of_each(chosen)
    inside, outside = int(rows.inside.sum()), int((~rows.inside).sum())
    low, worst = share_range(chosen, inside, outside)
    return Promised(
        terms=tuple(
            Kept(
                promise=term,
                observed=_rounded(observed(term, counted, worst)),
                bound=_rounded(bound(term, counted, worst, certainty)),
            )
            for term in chosen.promise
        ),
        certainty=chosen.certainty,
        accept_at=cut,
        rows=inside,
        out_of_scope_rows=outside,
        answered=_rounded(np.asarray(counted.answered) / max(inside, 1)),
        answered_at_least=_rounded(lower(counted.answered, counted.inside, certainty)),
        out_of_scope_share=(low, worst),
        by_share=tuple(
            ShareBound(share=share, at_most=_rounded(counted.wrong_bound(share, certainty)))
            for share in sorted({*_SHARES, low, worst})
            if outside
        ),
        labels=_label_bounds(decision, cut, held, labels, certainty),
        scores=score_counts(rows),
        assumption=_assumption(chosen, inside, outside, low, worst),
    )


def _rounded(value: Values) -> float:
    return round(float(np.asarray(value).ravel()[0]), 6)


def _label_bounds(
    decision: Decision, cut: float, held: tuple[Answers, BoolArray], labels: LabelSet, certainty: float
) -> dict[str, LabelBound]:
    """For each label with enough answers, at most what share of them is wrong."""
    answers, gold = held
    final = decision.model_copy(update={"accept_at": cut})
    decided = decide(answers.probabilities, final, answers.in_scope).labels
    given, wrong = decided.sum(axis=0), (decided & ~gold).sum(axis=0)
    found = {}
    most = upper(wrong, given, certainty).tolist()
    for name, n, bad, high in zip(labels, given.tolist(), wrong.tolist(), most, strict=True):
        if n >= _LEAST_ANSWERS:
            found[name] = LabelBound(answers=n, wrong=bad, at_most=round(high, 6))
    return found


def _assumption(chosen: Decide, inside: int, outside: int, low: float, worst: float) -> str:
    rows = count(inside + outside, "calibration row")
    said = f"This holds for messages that come about like the {rows}: drawn from the same traffic and labelled alike"
    if not outside:
        return f"{said}. None of these rows is out of scope, so it holds only where no message is."
    if any(term.measure == "wrong_accepted" for term in chosen.promise):
        said += f", with {percent(low)} to {percent(worst)} of them out of scope"
    return f"{said}."
