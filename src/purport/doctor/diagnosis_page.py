"""A diagnosis as a page."""

from __future__ import annotations

from collections import Counter

from ..report.figures import bar_figure
from ..report.page import Block, Notice, Page, Section, Table, Text, percent
from .finding import Diagnosis, Finding, Severity

_SHOWN_ROWS = 25
_SHOWN_BARS = 15
_COST = {
    "gain": "fixing may bring {} points",
    "limit": "up to {} points cannot be reached",
    "inflation": "measured {} points too high",
}


def page(diagnosis: Diagnosis) -> Page:
    """Findings by severity, each with its rows, reason, remedy and cost."""
    counts = Counter(finding.severity for finding in diagnosis.findings)
    rows = ", ".join(f"{count:,} {split}" for split, count in list(diagnosis.rows.items())[:4])
    sections = [_summary(diagnosis)] if diagnosis.findings else []
    for severity in Severity:
        chosen = [finding for finding in diagnosis.findings if finding.severity is severity]
        if chosen:
            sections.append(Section(f"{severity.value.capitalize()}s ({len(chosen)})", _blocks(chosen)))
    sections.append(_method(diagnosis))
    verdict = {
        None: Notice("good", "Nothing was found."),
        Severity.INFO: Notice("good", "Nothing has to be fixed before training."),
        Severity.WARNING: Notice("warning", "Nothing that makes a measurement wrong; some of this costs quality."),
        Severity.ERROR: Notice("error", "Fix the errors first; until then the metrics are unreliable."),
    }[diagnosis.worst]
    return Page(
        title=f"What is wrong with {diagnosis.dataset}",
        subtitle=f"{rows} rows, {diagnosis.labels} labels, {diagnosis.task}; fingerprint {diagnosis.fingerprint[:16]}",
        headline=[
            ("errors", str(counts[Severity.ERROR])),
            ("warnings", str(counts[Severity.WARNING])),
            ("notes", str(counts[Severity.INFO])),
            ("exact match, linear reference", percent(diagnosis.exact_match)),
        ],
        sections=sections,
        facts=diagnosis,
        command=f"purport doctor {diagnosis.dataset} --seed {diagnosis.seed}",
        notices=[verdict],
    )


def _summary(diagnosis: Diagnosis) -> Section:
    rows = []
    for finding in diagnosis.findings:
        cost, meaning = None, ""
        if finding.worth:
            cost, meaning = round(finding.worth.value * 100, 3), _COST[finding.worth.kind].format("that many")
        rows.append((finding.severity.value, finding.title, finding.n_rows, cost, meaning))
    columns = ("severity", "finding", "rows", "cost, points", "meaning")
    blocks: list[Block] = [Table("Findings, most severe and costly first", columns, rows)]
    priced = [(f.title, f.worth.value * 100) for f in diagnosis.findings if f.worth and f.worth.value > 0]
    if priced:
        priced = sorted(priced, key=lambda pair: -pair[1])[:_SHOWN_BARS]
        title, xlabel = "What each finding costs, in points of exact match", "points of exact match"
        blocks.append(bar_figure("cost", title, priced, "{:.2f} points", xlabel=xlabel, limit=60, width=7.2))
    if diagnosis.plan_gain is not None:
        text = (
            "The proposed plan changes the cross-validated exact match of the linear reference by "
            f"{diagnosis.plan_gain * 100:+.2f} points on the other {diagnosis.plan_rows:,} training rows."
        )
        blocks.append(Notice("info", text))
    return Section("Summary", blocks)


def _blocks(findings: list[Finding]) -> list[Block]:
    blocks: list[Block] = []
    for finding in findings:
        quote = f" “{finding.quote}”." if finding.quote else ""
        cost = ""
        if finding.worth:
            points = _COST[finding.worth.kind].format(f"{finding.worth.value * 100:.2f}")
            cost = f" Cost: {points} ({finding.worth.how})."
        blocks.append(Notice(finding.severity.value, f"{finding.title}. {finding.why}{quote} {finding.remedy}{cost}"))
        if finding.rows:
            shown = finding.rows[:_SHOWN_ROWS]
            columns = ("split", "row", "text", "labels", "note")
            rows = [(row.split, str(row.row), row.text, " + ".join(row.labels), row.note) for row in shown]
            more = f", the first {len(shown)} of {finding.n_rows:,}" if finding.n_rows > len(shown) else ""
            blocks.append(Table(f"Rows{more}", columns, rows, folded=True))
    return blocks


def _method(diagnosis: Diagnosis) -> Section:
    judge = f"bundle {diagnosis.bundle}" if diagnosis.bundle else "the same model, trained on all training rows"
    return Section(
        "How this was found",
        [
            Text(
                "Training rows were judged by a linear model on words and word pairs that did not see them "
                f"(cross-validation; equal texts share a fold; seed {diagnosis.seed}). Rows to measure on were judged "
                f"by {judge}. Label errors are found by confident learning (Northcutt et al. 2021, cleanlab), "
                "near-duplicates by MinHash (Broder 1997) at a Jaccard similarity of 0.75 over words and word pairs, "
                "languages by py3langid, damage by ftfy."
            ),
            Text(
                "Costs are estimates with that linear model, in points of exact match (rows decided wholly right). A "
                "better model may gain less from a fix, or more."
            ),
            Text(f"Checks: {', '.join(diagnosis.checks)}."),
        ],
    )
