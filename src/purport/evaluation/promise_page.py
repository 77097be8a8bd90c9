"""Held-back answers and promises as blocks of a page."""

from __future__ import annotations

from ..promise import Promised
from ..report.figures import line_figure
from ..report.page import Block, Table, Text, percent
from ..wording import sentence
from .held_back import Acceptance
from .sentences import promise_lines, share_said


def acceptance_blocks(found: Acceptance) -> list[Block]:
    """The curve of risk against coverage, with what the bundle promises."""
    promised = found.promise
    blocks: list[Block] = [
        Text(
            "An answer's acceptance score is the probability that the text is in scope, times that of its labels. "
            f"With this bundle's decision, {percent(found.answered)} of these rows are answered, and "
            f"{percent(found.risk)} of these answers are wrong. Answers to messages out of scope count as wrong."
        )
    ]
    if found.curve:
        blocks.append(_figure(found))
    if promised is None:
        return [*blocks, Text('This bundle promises nothing; decide.promise = "wrong_accepted <= 0.05" would.')]
    blocks += [Text(sentence(said.removesuffix("."))) for said in promise_lines(promised)]
    blocks.append(
        Text(f"Of the rows of this page, {percent(found.out_of_scope)} are out of scope; {share_said(promised)}.")
    )
    return [*blocks, *_tables(promised)]


def _figure(found: Acceptance) -> Block:
    promised = found.promise
    wrong = [kept for kept in promised.terms if kept.promise.measure == "wrong_accepted"] if promised else []
    limits = {f"promised: {kept.promise}": kept.promise.level for kept in wrong}
    first, last = found.curve[0], found.curve[-1]
    here = None if found.risk is None else ("this bundle's decision", found.answered, found.risk)
    return line_figure(
        "risk-coverage",
        "Share of wrong answers by share of rows answered, highest acceptance score first",
        f"{percent(first[1])} wrong at {percent(first[0])} of rows answered, {percent(last[1])} wrong at "
        f"{percent(last[0])}; with this bundle's decision {percent(found.risk)} at {percent(found.answered)}"
        + "".join(f"; {name}" for name in limits),
        {"answers by falling score": found.curve},
        ("coverage: share of rows answered", "risk: share of answers wrong"),
        limits=limits,
        point=here,
    )


def _tables(promised: Promised) -> list[Block]:
    tables: list[Block] = []
    if promised.by_share and promised.depends_on_share:
        low, high = promised.out_of_scope_share
        rows = [
            (percent(each.share), percent(each.at_most), "yes" if low <= each.share <= high else "no")
            for each in promised.by_share
        ]
        title = "Upper bound of the share of wrong answers, if so many messages are out of scope"
        tables.append(Table(title, ("out of scope", "at most wrong", "promised for"), rows))
    if promised.labels:
        rows_of = sorted(promised.labels.items(), key=lambda item: -item[1].at_most)
        cells = [(name, each.answers, each.wrong, percent(each.at_most)) for name, each in rows_of]
        title = "Labels on the calibration rows, each bound taken by itself; these are no promises"
        tables.append(Table(title, ("label", "answers", "wrong", "at most wrong"), cells, folded=len(cells) > 15))
    return tables
