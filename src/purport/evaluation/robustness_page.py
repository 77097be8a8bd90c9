"""Robustness as sentences, and as tables and figures of a page."""

from __future__ import annotations

from ..labels import Task
from ..report.figures import bar_figure, bars_height
from ..report.page import Block, Table, Text, percent
from ..wording import DASH, count
from .comparison import RobustnessChange
from .metric_table import cells
from .robustness import CLEAN, Robustness, drawn, title_of

_ENGLISH = (
    "Greeting, thanks and e-mail are English: for texts in another language they measure two languages in one message. "
    "Where the model has a label for greetings or thanks, answering with it counts as an error."
)


def blocks(found: Robustness) -> list[Block]:
    """Each way of writing with its metrics, the texts as they are first."""
    written = found.results[1:]
    heights = {"height": bars_height(len(found.results)), "limit": 46}
    exact = [(each.title, each.exact_match.value or 0.0) for each in found.results]
    change = [(each.title, 100 * (each.difference.value or 0.0)) for each in written]
    return [
        Text(
            f"Each text is changed in one way and asked again: {drawn(found.n, found.rows)}. The changes depend on the "
            f"text and the seed ({found.seed}) alone, so that two bundles can be compared. {_ENGLISH}"
        ),
        bar_figure(
            "robustness",
            "Exact match when the same is written otherwise, with 95 % intervals",
            exact,
            "{:.3f}",
            xlabel="exact match",
            errors=[(each.exact_match.low, each.exact_match.high) for each in found.results],
            **heights,
        ),
        bar_figure(
            "robustness-change",
            "Change against the unchanged texts in points, with paired 95 % intervals",
            change,
            "{:+.2f}",
            xlabel="points",
            errors=[(100 * (each.difference.low or 0.0), 100 * (each.difference.high or 0.0)) for each in written],
            **heights,
        ),
        _table(found),
    ]


def _table(found: Robustness) -> Table:
    multilabel = found.task is Task.MULTILABEL
    columns = ("text", "exact match", "95 % interval", "change", "95 % interval")
    f1_columns = ("F1 micro", "95 % interval") if multilabel else ()
    rows = []
    for each in found.results:
        clean = each.name == CLEAN
        some = "" if clean or each.touched == found.n else f"; changes {count(each.touched, 'text')}"
        change = (None, DASH) if clean else cells(each.difference)
        f1 = cells(each.f1_micro) if multilabel else ()
        changed = DASH if clean else percent(each.changed.value)
        rows.append((f"{each.title}{some}", *cells(each.exact_match), *change, *f1, changed))
    return Table("Robustness", (*columns, *f1_columns, "answers changed"), rows)


def change_blocks(found: RobustnessChange) -> list[Block]:
    """Exact match of A and B for each way of writing."""
    rows = [
        (title_of(name), change.a, change.b, *cells(change.difference)) for name, change in found.exact_match.items()
    ]
    columns = ("text", "A", "B", "B - A", "95 % interval of B - A")
    return [
        Text(f"Both bundles were asked the same changed texts: {drawn(found.n, found.rows)}. {_ENGLISH}"),
        Table("Exact match when the same is written otherwise", columns, rows),
    ]
