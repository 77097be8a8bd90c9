"""A kind of bundle, registered in the entry-point group ``purport.kinds``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from ..errors import needs
from .recipe import Recipe
from .run import Fitted, Run

Fit = Callable[[Run[Any]], Fitted | None]
"""Trains on ``run.train``, chooses on ``run.valid``, writes the model's files into ``run.stage``.

It returns ``None`` in processes that only help another one (all but the first under ``torchrun``).
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """How bundles of one kind are made, and who opens them. Importing it must be cheap.

    Attributes:
        recipe: the type of its recipes.
        fit: what trains it, or where that is (``module:function``), imported when training starts.
        opener: name in the entry-point group ``purport.models``.
        extra: the extra of ``purport`` that brings what ``fit`` imports.
        distributed: whether all processes of ``torchrun`` take part; otherwise only the first one trains.
    """

    recipe: type[Recipe]
    fit: str | Fit
    opener: str
    extra: str | None = None
    distributed: bool = False

    def load_fit(self) -> Fit:
        """What trains it.

        Raises:
            DependencyMissing: the extra that it needs is not installed.
        """
        if not isinstance(self.fit, str):
            return self.fit
        package = self.fit.partition(":")[0].partition(".")[0]
        with needs("training", self.extra, own=package):
            found: Fit = resolve_name(self.fit)
        return found
