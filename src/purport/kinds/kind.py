"""A kind of bundle, registered in the entry-point group ``purport.kinds``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from ..isolation import silence
from ..optional import needs
from ..resources import waiting_threads_sleep
from .recipe import Recipe
from .run import Fitted, Run

Fit = Callable[[Run[Any]], Fitted | None]
"""Trains on ``run.train``, makes choices on ``run.valid``, and writes the model's files to ``run.stage``.

It returns ``None`` in helper processes (all but the first under ``torchrun``).
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """How bundles of one kind are trained and opened. Importing a kind must be cheap.

    Attributes:
        recipe: the type of its recipes.
        fit: the training function, or its location (``module:function``), which is imported when training starts.
        opener: name in the entry-point group ``purport.models``.
        extra: the extra of ``purport`` that installs what ``fit`` imports.
        distributed: whether all ``torchrun`` processes train; otherwise only the first one does.
        quick: whether it trains in seconds, so that training several times for a better calibration is no burden.
    """

    recipe: type[Recipe]
    fit: str | Fit
    opener: str
    extra: str | None = None
    distributed: bool = False
    quick: bool = False

    def load_fit(self) -> Fit:
        """The training function.

        Raises:
            DependencyMissing: the extra that it needs is not installed.
        """
        if not isinstance(self.fit, str):
            return self.fit
        silence()
        package = self.fit.partition(":")[0].partition(".")[0]
        with needs("training", self.extra, own=package), waiting_threads_sleep():
            found: Fit = resolve_name(self.fit)
        return found
