"""The seam of explanations: a method turns a question into weights of its units.

Methods are registered in the entry-point group ``purport.explainers``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..model import BoolArray
from .explanation import Value
from .question import Question

Weights = NDArray[np.float64]
"""One number for each unit."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a method found for the ``n`` units of a question.

    Attributes:
        weights: ``(n,) float64``; positive speaks for the label.
        value: what they are measured in.
        full: the value of the whole text.
        base: the value of no text; ``None`` for a method whose weights do not add up to ``full - base``.
        errors: ``(n,) float64``, the standard error of each weight, if the method draws samples.
        note: what one must know to read the weights.
    """

    weights: Weights
    value: Value
    full: float
    base: float | None = None
    errors: Weights | None = None
    note: str = ""


class Explainer(Protocol):
    """A method.

    Attributes:
        calls: number of texts that it asks by default, at most; of a model that asks a service, 16.
        served: whether a server may use it: it needs nothing that a server lacks.
    """

    calls: int
    served: bool

    def unfit(self, bundle: Bundle) -> str | None:
        """Why it cannot explain ``bundle``, and what to do; ``None`` if it can."""
        ...

    def units(self, calls: int) -> int:
        """The largest number of units that it can weigh with so many ``calls``, at least 1."""
        ...

    def plan(self, n: int, calls: int) -> BoolArray:
        """What it asks of a text of ``n`` units, ``(m, n) bool``: at most ``calls`` rows of units that are kept.

        Where they can be asked by several workers, they are, and then the method finds them answered.
        """
        ...

    def __call__(self, question: Question, label: int, calls: int) -> Weighed:
        """Weigh the units of ``question`` for ``label``, with at most ``calls`` more texts."""
        ...
