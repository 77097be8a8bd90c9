"""Runs every check and sorts the findings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .. import registry
from ..classifier import Classifier
from ..data.table import RowTable
from ..progress import SILENT, Reporter
from .examination import Examination
from .finding import Diagnosis, Finding, Fix


def diagnose(
    table: RowTable,
    *,
    classifier: Classifier | None = None,
    seed: int = 0,
    measure_plan: bool = False,
    reporter: Reporter = SILENT,
) -> Diagnosis:
    """All findings in ``table``, most severe and costly first.

    ``classifier``, or a linear model if it is ``None``, judges the evaluation rows. With ``measure_plan`` the linear
    model is trained again on the rows as the fix plan would change them.
    """
    examination = Examination(table, classifier, seed, reporter)
    findings: list[Finding] = []
    checks = registry.names("checks")
    for name in checks:
        examination.say(f"checking {name}")
        findings += registry.load("checks", name)(examination)
    findings.sort(key=lambda f: (f.severity.rank, -(f.worth.value if f.worth else 0.0), -f.n_rows))
    gain, untouched = _plan_gain(examination, proposed(findings)) if measure_plan else (None, None)
    return Diagnosis(
        dataset=table.name,
        fingerprint=table.fingerprint,
        rows={split: len(table.positions(split)) for split in table.split_names},
        labels=len(table.labels),
        task="one label per row" if table.exclusive else "several labels per row",
        bundle=None if classifier is None else classifier.bundle.manifest.id,
        seed=seed,
        checks=checks,
        exact_match=float(examination.right[examination.training].mean()) if len(examination.training) else None,
        findings=tuple(findings),
        plan_gain=gain,
        plan_rows=untouched,
    )


def proposed(findings: Iterable[Finding]) -> list[Fix]:
    """The fixes of all findings, at most one per row: one with ``apply`` wins, then the most severe finding's."""
    best: dict[tuple[str, int], Fix] = {}
    for fix in sorted((fix for finding in findings for fix in finding.fixes), key=lambda fix: not fix.apply):
        best.setdefault((fix.split, fix.row), fix)
    return sorted(best.values(), key=lambda fix: (fix.split, fix.row))


def _plan_gain(examination: Examination, plan: list[Fix]) -> tuple[float | None, int | None]:
    """Change of cross-validated exact match on the training rows that the plan does not touch."""
    table = examination.table
    fixes = {(fix.split, fix.row): fix for fix in plan if fix.apply}
    learnt = examination.gold(examination.training)
    kept, untouched = np.ones(len(learnt), dtype=np.bool_), np.ones(len(learnt), dtype=np.bool_)
    for index, position in enumerate(examination.training):
        fix = fixes.get((table.split(position), table.examples[position].row))
        if fix is None:
            continue
        untouched[index] = False
        kept[index] = fix.action != "drop"
        if fix.action == "relabel":
            learnt[index] = table.labels.encode([fix.new_labels])[0]
    if untouched.all() or not untouched.any():
        return None, None
    return examination.change(learnt, kept, untouched), int(untouched.sum())
