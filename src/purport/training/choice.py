"""One value of a drafted recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One value of a recipe, and why it was chosen."""

    section: str
    key: str
    value: Any
    why: str = ""
