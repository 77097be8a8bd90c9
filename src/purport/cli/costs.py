"""What texts cost, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..costs import LabelCost

_MOST = 12


def print_costs(costs: Mapping[str, LabelCost], texts: int) -> None:
    """Print what ``texts`` texts cost by decided label, the dearest first; nothing if they cost no money."""
    from rich.table import Table

    from .console import err

    usd = sum(each.usd for each in costs.values())
    if not usd:
        return
    table = Table("decided label", "texts", "tokens", "US dollars", "for 1,000 texts")
    shown = [*costs.items()][:_MOST]
    for name, each in shown:
        table.add_row(name, f"{each.texts:,}", f"{each.tokens:,.0f}", f"{each.usd:.4f}",
                      f"{1000 * each.usd / each.texts:.4f}")  # fmt: skip
    rest = [*costs.values()][_MOST:]
    if rest:
        tokens, money = sum(each.tokens for each in rest), sum(each.usd for each in rest)
        table.add_row(f"{len(rest):,} others", f"{sum(each.texts for each in rest):,}", f"{tokens:,.0f}",
                      f"{money:.4f}", "")  # fmt: skip
    tokens = sum(each.tokens for each in costs.values())
    table.add_row("all", f"{texts:,}", f"{tokens:,.0f}", f"{usd:.4f}", f"{1000 * usd / texts:.4f}")
    err.print(table)
    err.print(
        "What answers cost when they were asked, those from the cache included; a text with several labels counts for "
        "each, and its cost in equal shares."
    )
