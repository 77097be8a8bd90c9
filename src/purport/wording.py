"""Small pieces of what people read."""

from __future__ import annotations

DASH = "–"
"""Stands for a value that is not there or not defined."""


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 row``, ``2,000 rows``; ``plural`` defaults to ``noun`` with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def sentence(said: str) -> str:
    """``said`` with a capital letter and a full stop, for pages; the terminal prints it as it is."""
    return f"{said[:1].upper()}{said[1:]}."


def percent(value: float | None, digits: int = 1) -> str:
    """``12.3 %``, or a dash."""
    return DASH if value is None else f"{value:.{digits}%}".replace("%", " %")
