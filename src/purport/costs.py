"""What texts cost that asked a service, by the label that was decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .frozen import Frozen
from .labels import LabelSet, none_of_these


class LabelCost(Frozen):
    """What the ``texts`` took that were decided as a label, in tokens and US dollars."""

    texts: int = 0
    tokens: float = 0.0
    usd: float = 0.0

    def plus(self, tokens: float, usd: float) -> LabelCost:
        """With another text."""
        return LabelCost(texts=self.texts + 1, tokens=self.tokens + tokens, usd=self.usd + usd)


class Costs:
    """Adds up costs. A text without a label counts for "none of these", one with several for each in equal shares."""

    def __init__(self, labels: LabelSet) -> None:
        self._none = none_of_these(labels)
        self._found: dict[str, LabelCost] = {}

    def add(self, decided: Sequence[Sequence[str]], cost: NDArray[np.float64] | None) -> None:
        """Add texts with their ``decided`` labels, and their ``cost (n, 2)`` as models give it; ``None``: nothing."""
        if cost is None:
            return
        for labels, (tokens, usd) in zip(decided, cost.tolist(), strict=True):
            for label in labels or (self._none,):
                share = max(1, len(labels))
                self._found[label] = self._found.get(label, LabelCost()).plus(tokens / share, usd / share)

    def by_label(self) -> dict[str, LabelCost]:
        """The cost of each label that was decided, the largest first; empty if nothing was asked."""
        ordered = sorted(self._found.items(), key=lambda item: (-item[1].usd, -item[1].tokens, item[0]))
        return {
            name: LabelCost(texts=each.texts, tokens=round(each.tokens, 2), usd=round(each.usd, 9))
            for name, each in ordered
            if each.tokens or each.usd
        }
