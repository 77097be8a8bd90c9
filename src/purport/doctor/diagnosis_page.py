"""Turns a diagnosis into a page."""

from __future__ import annotations

import shlex
from collections import Counter

from ..report.figures import bar_figure
from ..report.page import Block, Notice, Page, Section, Table, Text, percent
from .finding import Diagnosis, Finding, Severity

_SHOWN_ROWS = 25
_SHOWN_BARS = 15
_HEADINGS = {Severity.ERROR: "Errors", Severity.WARNING: "Warnings", Severity.INFO: "Notes"}


def page(diagnosis: Diagnosis, command: str = "") -> Page:
    """Findings by severity, each with its rows, reason, remedy and effect; ``command`` made the page."""
    counts = Counter(finding.severity for finding in diagnosis.findings)
    rows = ", ".join(f"{count:,} {split}" for split, count in list(diagnosis.rows.items())[:4])
    sections = [_summary(diagnosis)] if diagnosis.findings else []
    for severity in Severity:
        chosen = [finding for finding in diagnosis.findings if finding.severity is severity]
        if chosen:
            sections.append(Section(f"{_HEADINGS[severity]} ({len(chosen)})", _blocks(chosen)))
    sections.append(_method(diagnosis))
    verdict = {
        None: Notice("good", "No problems were found."),
        Severity.INFO: Notice("good", "Nothing has to be fixed before training."),
        Severity.WARNING: Notice("warning", "The metrics are reliable, but some of these problems cost quality."),
        Severity.ERROR: Notice("error", "Fix the errors first; until then the metrics are unreliable."),
    }[diagnosis.worst]
    return Page(
        title=f"Problems in {diagnosis.dataset}",
        subtitle=f"{rows} rows, {diagnosis.labels} labels, {diagnosis.task}; fingerprint {diagnosis.fingerprint[:16]}",
        headline=[
            ("errors", str(counts[Severity.ERROR])),
            ("warnings", str(counts[Severity.WARNING])),
            ("notes", str(counts[Severity.INFO])),
            ("exact match of linear model", percent(diagnosis.exact_match)),
        ],
        sections=sections,
        facts=diagnosis,
        command=command or f"purport doctor {shlex.quote(diagnosis.dataset)} --seed {diagnosis.seed}",
        notices=[verdict],
    )


def _summary(diagnosis: Diagnosis) -> Section:
    rows = [
        (finding.severity.value, finding.title, finding.n_rows, finding.worth.in_words if finding.worth else "")
        for finding in diagnosis.findings
    ]
    columns = ("severity", "finding", "rows", "effect in points of exact match")
    blocks: list[Block] = [Table("Findings, most severe and costly first", columns, rows)]
    priced = [(f.title, f.price * 100) for f in diagnosis.findings if f.price > 0]
    if priced:
        priced = sorted(priced, key=lambda pair: -pair[1])[:_SHOWN_BARS]
        title, xlabel = "Cost of each finding, in points of exact match", "points of exact match"
        blocks.append(bar_figure("cost", title, priced, "{:.2f} points", xlabel=xlabel, limit=60, width=7.2))
    if diagnosis.plan_gain is not None:
        low, high = diagnosis.plan_interval or (diagnosis.plan_gain, diagnosis.plan_gain)
        text = (
            "Applying the proposed fixes changes the cross-validated exact match of the linear model by "
            f"{diagnosis.plan_gain * 100:+.2f} points (95 %: {low * 100:+.2f} to {high * 100:+.2f}) on the other "
            f"{diagnosis.plan_rows:,} training rows."
        )
        blocks.append(Notice("info", text))
    return Section("Summary", blocks)


def _blocks(findings: list[Finding]) -> list[Block]:
    blocks: list[Block] = []
    for finding in findings:
        quote = f" “{finding.quote}”." if finding.quote else ""
        effect = f" Effect: {finding.worth.in_words}" if finding.worth else ""
        if finding.worth:
            effect += "." if finding.worth.how in finding.worth.in_words else f" ({finding.worth.how})."
        text = f"{finding.title}. {finding.why}{quote} {finding.remedy}{effect}"
        blocks.append(Notice(finding.severity.value, text))
        if finding.rows:
            shown = finding.rows[:_SHOWN_ROWS]
            columns = ("split", "row", "text", "labels", "note")
            rows = [(row.split, str(row.row), row.text, " + ".join(row.labels), row.note) for row in shown]
            more = f", the first {len(shown)} of {finding.n_rows:,}" if finding.n_rows > len(shown) else ""
            blocks.append(Table(f"Rows{more}", columns, rows, folded=True))
    return blocks


def _method(diagnosis: Diagnosis) -> Section:
    judge = f"bundle {diagnosis.bundle}" if diagnosis.bundle else "the same model trained on all training rows"
    return Section(
        "Method",
        [
            Text(
                "Training rows were judged by cross-validation with a linear model on words and word pairs, so that no "
                f"row was judged by a model trained on it (identical texts share a fold; seed {diagnosis.seed}). "
                f"Evaluation rows were judged by {judge}. Label errors are found by confident learning (Northcutt et "
                "al. 2021, cleanlab), near-duplicates by MinHash (Broder 1997) at a Jaccard similarity of 0.75 over "
                "words and word pairs, languages by py3langid, and encoding damage by ftfy."
            ),
            Text(
                "Effects are estimates with that linear model, in points of exact match (the share of rows that get "
                "exactly the right labels). A better model may gain more or less from a fix. A relabelling is proposed "
                "with apply = yes only where the model and the ten nearest training rows agree on the new label; on "
                "public datasets with planted errors, at least 90 % of these were right (docs/decisions/0020)."
            ),
            Text(f"Checks: {', '.join(diagnosis.checks)}."),
        ],
    )
