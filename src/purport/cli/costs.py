"""What texts cost, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..costs import LabelCost

_MOST = 12


def print_costs(costs: Mapping[str, LabelCost], texts: int) -> None:
    """Print what ``texts`` texts cost by decided label, the dearest first; nothing if no service took tokens.

    Money is only printed where the bundle knows prices.
    """
    from rich.table import Table

    from .console import err

    usd, tokens = sum(each.usd for each in costs.values()), sum(each.tokens for each in costs.values())
    if not tokens:
        return
    table = Table("decided label", "texts", "tokens", *(("US dollars", "for 1,000 texts") if usd else ()))

    def add(name: str, n: float, tokens: float, money: float) -> None:
        table.add_row(name, f"{n:,}", f"{tokens:,.0f}", *((f"{money:.4f}", f"{1000 * money / n:.4f}") if usd else ()))

    for name, each in [*costs.items()][:_MOST]:
        add(name, each.texts, each.tokens, each.usd)
    if rest := [*costs.values()][_MOST:]:
        add(f"{len(rest):,} others", sum(each.texts for each in rest), sum(each.tokens for each in rest),
            sum(each.usd for each in rest))  # fmt: skip
    add("all", texts, tokens, usd)
    err.print(table)
    err.print(
        "What answers cost when they were asked, those from the cache included; a text with several labels counts for "
        "each, and its cost in equal shares."
    )
