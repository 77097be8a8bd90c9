"""A comparison as a page."""

from __future__ import annotations

from ..report.figures import Figure, bar_figure, bars, bars_height, whole_numbers
from ..report.page import Block, Notice, Page, Section, Table, Text, percent
from .compare import Comparison, Difference
from .table import interval, joined

_LEVELS = {"better": "good", "worse": "error", "no difference shown": "info"}
_MOST_LABELS = 30
_SHOWN_ROWS = 100


def page(found: Comparison) -> Page:
    """The verdict, metrics, labels, rows, and what both cost."""
    notices = [Notice(_LEVELS[found.verdict], found.reason)]
    for gate in found.gates:
        measured = "undefined" if gate.value is None else f"{gate.value:.6g}"
        said = "holds" if gate.holds else "does not hold"
        notices.append(Notice("good" if gate.holds else "error", f"Gate {gate.condition} {said}: {measured}."))
    exact = found.metrics["exact_match"]
    return Page(
        title=f"{found.a.bundle} (A) against {found.b.bundle} (B)",
        subtitle=f"{found.dataset} {found.split}, {found.n:,} rows, data {found.fingerprint[:16]}; "
        f"{found.resamples:,} paired bootstrap samples, seed {found.seed}",
        headline=[
            ("verdict on B", found.verdict),
            ("exact match", f"{exact.a:.4f} → {exact.b:.4f}"),
            ("answers that changed", percent(found.flips / found.n, 2)),
            ("rows mended, spoilt", f"{found.only_b_right}, {found.only_a_right}"),
        ],
        sections=[
            Section("Metrics", _metrics(found)),
            Section("Labels", _labels(found)),
            Section("Rows", _rows(found)),
            Section("Size and speed", [_cost(found)]),
        ],
        facts=found,
        command=f"purport compare A B --split {found.split} --seed {found.seed}",
        notices=notices,
    )


def _line(name: str, change: Difference) -> tuple[object, ...]:
    return (name, change.a, change.b, change.difference.value, interval(change.difference))


def _metrics(found: Comparison) -> list[Block]:
    values = [(name, (change.difference.value or 0.0) * 100) for name, change in found.metrics.items()]
    ends = [
        ((change.difference.low or 0.0) * 100, (change.difference.high or 0.0) * 100)
        for change in found.metrics.values()
    ]
    return [
        Table(
            "Metrics of the decided label sets",
            ("metric", "A", "B", "B - A", "95 % of B - A"),
            [_line(name, change) for name, change in found.metrics.items()],
        ),
        bar_figure(
            "differences",
            "B - A in points, with paired 95 % intervals",
            values,
            "{:+.2f}",
            xlabel="points",
            errors=ends,
            height=bars_height(len(values)) + 0.4,
        ),
    ]


def _labels(found: Comparison) -> list[Block]:
    rows = [
        (name, change.support, change.mended, change.spoilt, *_line(name, change.f1)[1:])
        for name, change in sorted(found.labels.items(), key=lambda item: -item[1].support)
    ]
    columns = ("label", "rows", "mended", "spoilt", "F1 of A", "F1 of B", "B - A", "95 % of B - A")
    moved = sorted(
        ((name, change) for name, change in found.labels.items() if change.mended or change.spoilt),
        key=lambda item: -(item[1].mended + item[1].spoilt),
    )[:_MOST_LABELS]
    blocks: list[Block] = []
    if moved:
        mended, spoilt = [change.mended for _, change in moved], [-change.spoilt for _, change in moved]
        blocks.append(
            Figure(
                "labels",
                "Rows on which the decision of a label was mended (right) or spoilt (left)",
                "; ".join(f"{name}: {change.mended} mended, {change.spoilt} spoilt" for name, change in moved),
                whole_numbers(bars([name for name, _ in moved], {"mended": mended, "spoilt": spoilt}, xlabel="rows")),
                height=bars_height(len(moved), 2),
            )
        )
    return [*blocks, Table("Labels", columns, rows, folded=len(rows) > 25)]


def _rows(found: Comparison) -> list[Block]:
    if not found.rows:
        return [Text("Both answer every row alike.")]
    shown = found.rows[:_SHOWN_ROWS]
    rows = [(row.direction, str(row.row), row.text, *map(joined, (row.gold, row.a, row.b))) for row in shown]
    columns = ("direction", "row", "text", "right", "A", "B")
    more = f", the first {len(shown)} of {found.flips:,}" if found.flips > len(shown) else ""
    return [Table(f"Rows that are answered differently{more}", columns, rows)]


def _cost(found: Comparison) -> Table:
    a, b = found.a, found.b
    return Table(
        "Size and speed; both timed in turn on the same texts",
        ("", "A", "B", "B / A"),
        [
            ("kind", f"{a.kind}, {a.task}", f"{b.kind}, {b.task}", ""),
            ("size", f"{a.bytes / 1e6:.1f} MB", f"{b.bytes / 1e6:.1f} MB", f"{b.bytes / a.bytes:.2f}"),
            ("one text, median", f"{a.median_ms:.2f} ms", f"{b.median_ms:.2f} ms", f"{b.median_ms / a.median_ms:.2f}"),
        ],
    )
