"""The stages of a cascade as blocks of a page."""

from __future__ import annotations

from ..kinds.cascade.model import CascadeFacts
from ..report.figures import line_figure
from ..report.page import Block, Table, Text, percent


def cascade_blocks(facts: CascadeFacts) -> list[Block]:
    """What each stage does, and what passing on more or less would give; all on the validation rows."""
    rows = [
        (number, stage.kind, stage.bundle, percent(stage.reached), f"{stage.ms:.3g} ms", f"{stage.pass_below:.3g}")
        for number, stage in enumerate(facts.stages, start=1)
    ]
    heads = ("stage", "kind", "bundle", "texts asked", "one text", "passes on below")
    chosen, last = facts.chosen, facts.stages[-1].kind
    curve = [(point.passed_on, point.right) for point in facts.curve]
    return [
        Text(
            "Each stage passes on what it does not settle. Chosen on the validation rows for "
            f"{' and '.join(facts.target)}: {percent(chosen.right)} of them are exactly right, "
            f"{chosen.against_the_last} than with the last stage alone (standard error "
            f"{chosen.error:.2f}), in {chosen.mean_ms:.3g} ms on average."
        ),
        Table("Stages", heads, rows),
        line_figure(
            "cascade",
            f"Rows exactly right by the share of texts that reach the last stage ({last}), on the validation rows",
            f"{percent(curve[0][1])} right at {percent(curve[0][0])} passed on, {percent(curve[-1][1])} at "
            f"{percent(curve[-1][0])}; chosen: {percent(chosen.right)} at {percent(chosen.passed_on)}",
            {"best choices of cuts": curve},
            ("share of texts that reach the last stage", "share exactly right"),
            markers=True,
            point=("this bundle", chosen.passed_on, chosen.right),
        ),
        Table(
            "What to choose from",
            ("texts passed on", "exactly right", "against the last stage", "mean time", "95 % within"),
            [
                (
                    percent(point.passed_on),
                    percent(point.right),
                    point.against_the_last,
                    f"{point.mean_ms:.3g} ms",
                    f"{point.p95_ms:.3g} ms",
                )
                for point in facts.curve
            ],
            folded=True,
        ),
    ]
