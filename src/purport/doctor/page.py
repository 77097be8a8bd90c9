"""A diagnosis as a page."""

from __future__ import annotations

from collections import Counter

from ..report.figures import bar_figure
from ..report.page import Block, Notice, Page, Section, Table, Text, percent
from .finding import Diagnosis, Finding, Severity

_SHOWN_ROWS = 25
_SHOWN_BARS = 15
_MEANING = {"gain": "fixing may bring", "limit": "at most out of reach", "inflation": "measured too high by"}


def page(diagnosis: Diagnosis) -> Page:
    """Findings by severity, each with its rows, reason, remedy and price."""
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
        Severity.INFO: Notice("good", "Nothing that has to be mended before training."),
        Severity.WARNING: Notice("warning", "Nothing that makes a measurement wrong; some of this costs quality."),
        Severity.ERROR: Notice("error", "Mend the errors first: until then what is measured on this data is wrong."),
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
    table = Table(
        "Findings, the gravest and dearest first",
        ("severity", "finding", "rows", "worth, points", "meaning"),
        [
            (
                finding.severity.value,
                finding.title,
                finding.n_rows,
                None if finding.worth is None else round(finding.worth.value * 100, 3),
                "" if finding.worth is None else _MEANING[finding.worth.kind],
            )
            for finding in diagnosis.findings
        ],
    )
    priced = [(f.title, f.worth.value * 100) for f in diagnosis.findings if f.worth and f.worth.value > 0]
    blocks: list[Block] = [table]
    if priced:
        blocks.append(
            bar_figure(
                "worth",
                "What each finding is worth, in points of exact match",
                sorted(priced, key=lambda pair: -pair[1])[:_SHOWN_BARS],
                "{:.2f} points",
                xlabel="points of exact match",
                limit=60,
                width=7.2,
            )
        )
    if diagnosis.plan_gain is not None:
        blocks.append(
            Notice(
                "info",
                f"The proposed plan changes the cross-validated exact match of the linear reference by "
                f"{diagnosis.plan_gain * 100:+.2f} points on the {diagnosis.plan_rows:,} training others.",
            )
        )
    return Section("Summary", blocks)


def _blocks(findings: list[Finding]) -> list[Block]:
    blocks: list[Block] = []
    for finding in findings:
        worth = ""
        quote = f" “{finding.quote}”." if finding.quote else ""
        if finding.worth is not None:
            worth = f" Worth: {_MEANING[finding.worth.kind]} {finding.worth.value * 100:.2f} points of exact match "
            worth += f"({finding.worth.how})."
        blocks.append(Notice(finding.severity.value, f"{finding.title}. {finding.why}{quote} {finding.remedy}{worth}"))
        if finding.rows:
            shown = finding.rows[:_SHOWN_ROWS]
            columns = ("split", "row", "text", "labels", "note")
            rows = [(row.split, str(row.row), row.text, " + ".join(row.labels), row.note) for row in shown]
            more = f", the first {len(shown)} of {finding.n_rows:,}" if finding.n_rows > len(shown) else ""
            blocks.append(Table(f"Rows{more}", columns, rows, folded=True))
    return blocks


def _method(diagnosis: Diagnosis) -> Section:
    judge = (
        f"Rows to measure on were judged by bundle {diagnosis.bundle}."
        if diagnosis.bundle
        else "Rows to measure on were judged by the same model, trained on all training rows."
    )
    return Section(
        "How this was found",
        [
            Text(
                "Training rows were judged by a linear model on words and word pairs that did not see them "
                f"(cross-validation; equal texts share a fold; seed {diagnosis.seed}). {judge} Label errors are found "
                "by confident learning (Northcutt et al. 2021, cleanlab), near-duplicates by MinHash (Broder 1997) at "
                "a Jaccard similarity of 0.75 over words and word pairs, languages by py3langid, damage by ftfy."
            ),
            Text(
                "Prices are estimates with that linear model, in points of exact match (rows decided wholly right). A "
                "better model may gain less from a fix, or more."
            ),
            Text(f"Checks: {', '.join(diagnosis.checks)}."),
        ],
    )
