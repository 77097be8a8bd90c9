"""Kind ``cascade``: bundles behind one another, the cheapest first; each passes on what it does not settle."""

from __future__ import annotations

from ..kind import Kind
from .recipe import CascadeRecipe

KIND = Kind(CascadeRecipe, fit="purport.kinds.cascade.fit:fit", opener="cascade")
