"""The smallest edit found that changes an answer: words are left out, the weightiest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model import BoolArray
from .explainer import Weights
from .explanation import Edit
from .question import Question, without_each

Order = NDArray[np.intp]
"""All units, in the order in which they are left out."""


def smallest_edit(question: Question, weights: Weights, label: int, calls: int) -> Edit | None:
    """Units to leave out so that ``label`` is not decided any more, or another answer is given if it was not decided.

    First each unit alone, then the two, four, eight, ... that weigh most, then sizes in between, of which those are put
    back that need not go. At most ``calls`` more texts are asked, and at most half of the units are left out.
    """
    search = _Search(question, label, question.calls + calls)
    # What speaks for a decided label is left out, and what speaks against one that is not.
    order = np.argsort(-weights if search.before[label] else weights, kind="stable")
    kept = search.alone(order)
    if kept is None:
        kept = search.together(order)
        kept = kept if kept is None else search.restored(kept, order)
    if kept is None:
        return None
    (decided,) = question.decided(kept[None])
    names = question.answering.labels.names
    removed = tuple(question.units.places[unit] for unit in np.flatnonzero(~kept).tolist())
    return Edit(question.without(kept), removed, tuple(names[at] for at in np.flatnonzero(decided).tolist()))


class _Search:
    """Asks for edits of ``question`` until ``most`` texts were asked in all."""

    def __init__(self, question: Question, label: int, most: int) -> None:
        self._question = question
        self._label = label
        self._most = most
        (self.before,) = question.decided(question.units.full[None])

    def alone(self, order: Order) -> BoolArray | None:
        """The text without one unit, the first in ``order`` that changes the answer."""
        if len(order) < 2:
            return None
        singles = without_each(len(order))[order]
        unknown = [row for row in singles if not self._question.knows(row)]
        self._question.require(np.array(unknown[: self._room(half=True)], dtype=np.bool_))
        known = np.array([row for row in singles if self._question.knows(row)], dtype=np.bool_)
        at = self._first(known)
        return None if at is None else known[at]

    def together(self, order: Order) -> BoolArray | None:
        """The text without the first units in ``order``: by exponential search for how many, then between two sizes."""
        most = len(order) // 2
        if most < 2:
            return None
        sizes = sorted({2**power for power in range(1, most.bit_length())} | {most})
        found = self._shortest(sizes, order)
        if found is None:
            return None
        below = max((size for size in sizes if size < found), default=1)
        return _without(order, self._shortest(list(range(below + 1, found)), order) or found)

    def _shortest(self, sizes: list[int], order: Order) -> int | None:
        """The first of ``sizes`` at which the answer is changed, of as many as may be tried."""
        sizes = sizes[: self._room()]
        at = self._first(np.array([_without(order, size) for size in sizes], dtype=np.bool_))
        return None if at is None else sizes[at]

    def restored(self, kept: BoolArray, order: Order) -> BoolArray:
        """``kept`` with units put back for as long as the answer stays changed, the last in ``order`` first."""
        while (~kept).sum() > 2 and (room := self._room()):
            back = [at for at in order[::-1].tolist() if not kept[at]][:room]
            tried = np.array([kept | (np.arange(len(kept)) == at) for at in back], dtype=np.bool_)
            at = self._first(tried)
            if at is None:
                break
            kept = tried[at]
        return kept

    def _first(self, tried: BoolArray) -> int | None:
        """The number of the first row of ``tried (m, n_units)`` that changes the answer."""
        if not len(tried):
            return None
        decided = self._question.decided(tried)
        changed = ~decided[:, self._label] if self.before[self._label] else (decided != self.before).any(axis=1)
        return int(changed.argmax()) if changed.any() else None

    def _room(self, *, half: bool = False) -> int:
        left = max(0, self._most - self._question.calls)
        return left // 2 if half else left


def _without(order: Order, size: int) -> BoolArray:
    """All units but the first ``size`` in ``order``."""
    kept = np.ones(len(order), dtype=np.bool_)
    kept[order[:size]] = False
    return kept
