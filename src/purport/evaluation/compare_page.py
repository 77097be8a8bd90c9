"""Turns a comparison into a page."""

from __future__ import annotations

import shlex

from ..report.figures import bar_figure, bars, bars_height
from ..report.page import Block, Notice, Page, Section, Table, Text, percent
from ..wording import count, sentence
from .comparison import Comparison, labels_said
from .metric_table import cells, joined
from .robustness_page import change_blocks

_LEVELS = {"better": "good", "worse": "error", "no difference shown": "info"}
_MOST_LABELS = 30
_SHOWN_ROWS = 100


def page(found: Comparison) -> Page:
    """The verdict, metrics, labels, changed rows, size and speed."""
    notices = [Notice(_LEVELS[found.verdict], found.reason)]
    for gate in found.gates:
        notices.append(Notice("good" if gate.holds else "error", sentence(str(gate))))
    notices += [Notice("warning" if loss else "info", sentence(said)) for loss, said in labels_said(found)]
    exact = found.metrics["exact_match"]
    return Page(
        title="{} (A) against {} (B)".format(*found.names),
        subtitle=f"{f'{found.dataset} {found.split}'.strip()}, {count(found.n, 'row')}, data {found.fingerprint[:16]}; "
        f"{count(found.resamples, 'paired bootstrap sample')}, seed {found.seed}",
        headline=[
            ("verdict on B", found.verdict),
            ("exact match", f"{exact.a:.4f} → {exact.b:.4f}"),
            ("changed answers", percent(found.flips / found.n, 2)),
            ("rows fixed / broken", f"{found.only_b_right} / {found.only_a_right}"),
        ],
        sections=[
            Section("Metrics", _metrics(found)),
            Section("Labels", _labels(found)),
            *([Section("Robustness", change_blocks(found.robustness))] if found.robustness else []),
            Section("Changed rows", _rows(found)),
            Section("Size and speed", [_cost(found)]),
        ],
        facts=found,
        command=f"purport compare A B --split {shlex.quote(found.split or found.dataset)} --seed {found.seed}",
        notices=notices,
    )


def _metrics(found: Comparison) -> list[Block]:
    changes = {name: change.difference for name, change in found.metrics.items() if change.difference.value is not None}
    values = [(name, (change.value or 0.0) * 100) for name, change in changes.items()]
    ends = [((change.low or 0.0) * 100, (change.high or 0.0) * 100) for change in changes.values()]
    title, height = "B - A in points, with paired 95 % intervals", bars_height(len(values)) + 0.4
    return [
        Table(
            "Metrics of the decided label sets",
            ("metric", "A", "B", "B - A", "95 % interval of B - A"),
            [(name, change.a, change.b, *cells(change.difference)) for name, change in found.metrics.items()],
        ),
        bar_figure("differences", title, values, "{:+.2f}", xlabel="points", errors=ends, height=height),
    ]


def _labels(found: Comparison) -> list[Block]:
    rows = [
        (
            name,
            change.support,
            change.fixed,
            change.broken,
            change.f1.a,
            change.f1.b,
            *cells(change.f1.difference),
            float(f"{change.p_value:.2g}"),
        )
        for name, change in sorted(found.labels.items(), key=lambda item: (item[1].p_value, -item[1].support))
    ]
    columns = (
        "label",
        "rows",
        "fixed",
        "broken",
        "F1 of A",
        "F1 of B",
        "B - A",
        "95 % interval of B - A",
        "p, corrected",
    )
    moved = sorted(
        ((name, change.fixed, change.broken) for name, change in found.labels.items() if change.fixed or change.broken),
        key=lambda item: -(item[1] + item[2]),
    )[:_MOST_LABELS]
    blocks: list[Block] = []
    if moved:
        names, fixed, broken = zip(*moved, strict=True)
        title = "Rows where B fixes (right) or breaks (left) the decision on a label"
        alt = "; ".join(f"{name}: {gained} fixed, {lost} broken" for name, gained, lost in moved)
        series = {"fixed": fixed, "broken": [-lost for lost in broken]}
        blocks.append(bars("labels", title, alt, names, series, xlabel="rows", whole=True))
    explained = (
        "p is the chance of so large a fall or rise of F1 if both bundles were equally good: an exact randomisation "
        "test, corrected for the number of labels (Holm). Below 0.05, chance alone does not explain the change."
    )
    return [*blocks, Text(explained), Table("Labels", columns, rows, folded=len(rows) > 25)]


def _rows(found: Comparison) -> list[Block]:
    if not found.rows:
        return [Text("Both bundles give the same answer to every row.")]
    shown = found.rows[:_SHOWN_ROWS]
    rows = [(row.direction, str(row.row), row.text, *map(joined, (row.gold, row.a, row.b))) for row in shown]
    columns = ("change", "row", "text", "gold", "A", "B")
    more = f", the first {len(shown)} of {found.flips:,}" if found.flips > len(shown) else ""
    return [Table(f"Rows with different answers{more}", columns, rows)]


def _cost(found: Comparison) -> Table:
    a, b = found.a, found.b
    return Table(
        "Size and speed; both bundles were timed in turn on the same texts",
        ("", "A", "B", "B / A"),
        [
            ("bundle", a.bundle, b.bundle, ""),
            ("kind", f"{a.kind}, {a.task}", f"{b.kind}, {b.task}", ""),
            ("size", f"{a.bytes / 1e6:.1f} MB", f"{b.bytes / 1e6:.1f} MB", f"{b.bytes / a.bytes:.2f}"),
            (
                "time per text, median",
                f"{a.median_ms:.2f} ms",
                f"{b.median_ms:.2f} ms",
                f"{b.median_ms / a.median_ms:.2f}",
            ),
        ],
    )
