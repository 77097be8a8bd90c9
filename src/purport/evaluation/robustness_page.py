"""Robustness as sentences, and as tables and figures of a page."""

from __future__ import annotations

from ..labels import Task
from ..report.figures import bar_figure, bars_height
from ..report.page import Block, Table, Text, percent
from ..wording import DASH, count
from .comparison import RobustnessChange
from .metric_table import cells
from .resampling import Estimate
from .robustness import CLEAN, Robustness, drawn, title_of

_ENGLISH = (
    "Greeting, thanks and e-mail are English: for texts in another language they measure two languages in one message. "
    "Where the model has a label for greetings or thanks, answering with it counts as an error."
)
_COLUMNS = ("text", "A", "B", "B - A", "95 % interval of B - A")


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
            errors=[_points(each.difference) for each in written],
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
    changes = found.exact_match
    rows = [(title_of(name), each.a, each.b, *cells(each.difference)) for name, each in changes.items()]
    english = f" {_ENGLISH}" if any("English" in title_of(name) for name in changes) else ""
    return [
        Text(f"Both bundles were asked the same changed texts: {drawn(found.n, found.rows)}.{english}"),
        bar_figure(
            "robustness",
            "B - A in points of exact match, with paired 95 % intervals",
            [(title_of(name), 100 * (each.difference.value or 0.0)) for name, each in changes.items()],
            "{:+.2f}",
            xlabel="points",
            limit=46,
            height=bars_height(len(changes)) + 0.4,
            errors=[_points(each.difference) for each in changes.values()],
        ),
        Table("Exact match when the same is written otherwise", _COLUMNS, rows),
    ]


def _points(found: Estimate) -> tuple[float, float]:
    """Both ends of an interval in points."""
    return 100 * (found.low or 0.0), 100 * (found.high or 0.0)
