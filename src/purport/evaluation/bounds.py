"""Exact binomial bounds: what a number of rows says of a share, with what certainty.

Every function takes numbers or arrays of one shape and returns the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..promise import Term

Values = NDArray[np.float64]
# How the chance of an error is divided among the parts of a bound at a given share: wrong answers, answers to texts out
# of scope, answers to texts in scope. The last one matters least.
_PARTS = (0.4, 0.4, 0.2)


def upper(hits: Values | float, n: Values | float, certainty: float) -> Values:
    """With ``certainty``, the share behind ``hits`` of ``n`` independent rows is at most this (Clopper & Pearson 1934).

    It is 1 if there are no rows.
    """
    from scipy.special import betaincinv

    hits, n = np.asarray(hits, dtype=np.float64), np.asarray(n, dtype=np.float64)
    some = hits < n
    found: Values = np.where(some, betaincinv(hits + 1, np.where(some, n - hits, 1.0), certainty), 1.0)
    return found


def lower(hits: Values | float, n: Values | float, certainty: float) -> Values:
    """With ``certainty``, the share behind ``hits`` of ``n`` independent rows is at least this; 0 if there are none."""
    n = np.asarray(n, dtype=np.float64)
    return 1 - upper(n - hits, n, certainty)


def exact_interval(hits: int, n: int, certainty: float) -> tuple[float, float]:
    """The interval that has both bounds, each with half of the chance of an error."""
    each = (1 + certainty) / 2
    return float(lower(hits, n, each)), float(upper(hits, n, each))


def rows_needed(level: float, certainty: float) -> int:
    """The number of rows from which on none that is wrong proves a share of at most ``level``.

    ``(1 - level) ** n <= 1 - certainty``, the upper bound of :func:`upper` for 0 of n.
    """
    n = max(1, math.ceil(math.log(1 - certainty) / math.log1p(-level)) - 1)  # rounding: one less may do
    while float(upper(0, n, certainty)) > level:
        n += 1
    return n


@dataclass(frozen=True)
class Accepted:
    """Counted rows: numbers, or one for each of several cuts.

    Attributes:
        inside: rows with a label.
        outside: rows without one.
        answered: of ``inside``, those that get an answer.
        wrong: of ``answered``, those whose answer is wrong.
        strange: of ``outside``, those that get an answer; all of these answers are wrong.
    """

    inside: Values | float
    outside: Values | float
    answered: Values | float
    wrong: Values | float
    strange: Values | float

    def wrong_share(self, share: float) -> Values:
        """The share of wrong answers where ``share`` of the texts is out of scope; NaN if nothing is answered."""
        with np.errstate(divide="ignore", invalid="ignore"):
            right = np.asarray(self.answered, dtype=np.float64) / self.inside
            strange = np.asarray(np.asarray(self.strange, dtype=np.float64) / self.outside if share else 0.0)
            wrong = np.asarray(self.wrong, dtype=np.float64) / self.inside
            return np.asarray(_mixed(wrong, strange, share) / _mixed(right, strange, share))

    def wrong_bound(self, share: float, certainty: float) -> Values:
        """The upper bound of :meth:`wrong_share`.

        With no text out of scope it is the bound of the answers that are wrong: given which rows are answered, each of
        them is wrong independently (Geifman & El-Yaniv 2017). Otherwise it is put together from the bounds of three
        shares, which hold together (Bonferroni). It grows with ``share``, so that it holds for smaller ones, too.
        """
        if not share:
            return upper(self.wrong, self.answered, certainty)
        wrong, strange, answered = (1 - part * (1 - certainty) for part in _PARTS)
        most, least = upper(self.strange, self.outside, strange), lower(self.answered, self.inside, answered)
        bound = upper(self.wrong, self.answered, wrong)
        return np.asarray(_mixed(least * bound, most, share) / _mixed(least, most, share))


def _mixed(inside: Values, outside: Values, share: float) -> Values:
    return (1 - share) * inside + share * outside


def bound(term: Term, counted: Accepted, worst: float, certainty: float) -> Values:
    """The bound of what ``term`` is about: a lower one for ``answered``, else an upper one.

    For ``wrong_accepted`` it holds where up to the share ``worst`` of the texts is out of scope.
    """
    if term.measure == "wrong_accepted":
        return counted.wrong_bound(worst, certainty)
    if term.measure == "oos_accepted":
        return upper(counted.strange, counted.outside, certainty)
    return lower(counted.answered, counted.inside, certainty)


def observed(term: Term, counted: Accepted, worst: float) -> Values:
    """What ``term`` is about on the counted rows themselves; 0 where there are none."""
    if term.measure == "wrong_accepted":
        return np.nan_to_num(counted.wrong_share(worst))
    if term.measure == "oos_accepted":
        return np.asarray(counted.strange) / np.maximum(counted.outside, 1)
    return np.asarray(counted.answered) / np.maximum(counted.inside, 1)
