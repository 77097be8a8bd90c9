"""Leaves each word out and looks at what changes."""

from __future__ import annotations

import numpy as np

from ..bundle import Bundle
from ..model import BoolArray
from .explainer import Weighed
from .question import Question, without_each

_NOTE = (
    "A weight is by how much the log odds of the label fall when this word alone is left out; two words that say the "
    "same can both weigh little. The weights do not add up to anything."
)


class Occlusion:
    """The difference of the log odds with and without a unit (Zeiler & Fergus 2014; Li et al. 2016 for words)."""

    calls = 32
    served = True

    def unfit(self, bundle: Bundle) -> str | None:
        """See :class:`.Explainer`: any bundle can be asked."""
        return None

    def units(self, calls: int) -> int:
        """See :class:`.Explainer`."""
        return max(1, calls)

    def plan(self, n: int, calls: int) -> BoolArray:
        """See :class:`.Explainer`."""
        return without_each(n)

    def __call__(self, question: Question, label: int, calls: int) -> Weighed:
        """See :class:`.Explainer`."""
        values = question.values(np.vstack([question.units.full, self.plan(len(question.units), calls)]), label)
        return Weighed(values[0] - values[1:], "log_odds", float(values[0]), note=_NOTE)


OCCLUSION = Occlusion()
