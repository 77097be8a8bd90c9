"""Runs every check and sorts the findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from .. import registry
from ..classifier import Classifier
from ..data.names import renamed, twins
from ..data.table import RowTable
from ..progress import SILENT, Reporter
from .examination import Examination
from .finding import Diagnosis, Finding, Fix, Worth


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
    names = twins(Counter(label for gold in table.gold for label in gold))
    examination = Examination(_merged(table, names), classifier, seed, reporter, as_written=table)
    findings: list[Finding] = []
    checks: list[str] = []
    for name, check in registry.load_all("checks"):
        examination.say(f"checking {name}")
        findings += check(examination)
        checks.append(name)
    findings = _spare_last_rows([without_losses(finding) for finding in findings], examination.table, names)
    findings.sort(key=lambda f: (f.severity.rank, -f.price, -f.n_rows))
    gain, untouched = _plan_gain(examination, proposed(findings)) if measure_plan else (None, None)
    return Diagnosis(
        dataset=table.name,
        fingerprint=table.fingerprint,
        rows={split: len(table.positions(split)) for split in table.split_names},
        labels=len(table.labels),
        task="one label per row" if table.exclusive else "several labels per row",
        bundle=None if classifier is None else classifier.bundle.manifest.id,
        seed=seed,
        checks=tuple(checks),
        exact_match=float(examination.right[examination.training].mean()) if len(examination.training) else None,
        findings=tuple(findings),
        plan_gain=None if gain is None else gain.value,
        plan_interval=None if gain is None else gain.interval,
        plan_rows=untouched,
    )


def _merged(table: RowTable, names: Mapping[str, str]) -> RowTable:
    """``table`` with its labels renamed."""
    if not names:
        return table
    examples = [replace(example, labels=renamed(example.labels, names)) for example in table.examples]
    return replace(table, examples=examples)


def proposed(findings: Iterable[Finding]) -> list[Fix]:
    """The fixes of all findings, at most one per row: one with ``apply`` wins, then the most severe finding's.

    Merges come first.
    """
    best: dict[tuple[str, int, tuple[str, ...]], Fix] = {}
    for fix in sorted((fix for finding in findings for fix in finding.fixes), key=lambda fix: not fix.apply):
        best.setdefault((fix.split, fix.row, fix.labels if fix.action == "merge" else ()), fix)
    return sorted(best.values(), key=lambda fix: (fix.split, fix.row))


def without_losses(finding: Finding) -> Finding:
    """``finding``, with no fix proposed if they were measured to lose."""
    if not (finding.worth and finding.worth.loses):
        return finding
    return finding.model_copy(update={"fixes": tuple(fix.model_copy(update={"apply": False}) for fix in finding.fixes)})


def _spare_last_rows(findings: list[Finding], table: RowTable, names: Mapping[str, str]) -> list[Finding]:
    """``findings``, with no fix proposed that would, with the others, take the last row of a label or split."""

    def taken(fix: Fix) -> tuple[str, ...]:
        """What has a row less by this fix: labels, and the split itself, which is named by the empty string."""
        if fix.action not in ("drop", "relabel"):
            return ()
        labels = tuple(set(renamed(fix.labels, names)) - set(fix.new_labels))
        return ("", *labels) if fix.action == "drop" else labels

    left: dict[str, Counter[str]] = {}
    for split in table.split_names:
        counts = left[split] = Counter()
        for position in table.positions(split):
            counts.update(("", *table.gold[position]))
    for fix in (fix for fix in proposed(findings) if fix.apply and fix.action != "merge"):
        left[fix.split].subtract(taken(fix))
        left[fix.split].update(set(fix.new_labels) - set(renamed(fix.labels, names)))
    empty = {(split, name) for split, counts in left.items() for name, count in counts.items() if count <= 0}

    def spared(fix: Fix) -> Fix:
        if not fix.apply or empty.isdisjoint((fix.split, name) for name in taken(fix)):
            return fix
        return fix.model_copy(update={"apply": False, "why": f"{fix.why}; it would take the last rows of its label"})

    return [finding.model_copy(update={"fixes": tuple(map(spared, finding.fixes))}) for finding in findings]


def _plan_gain(examination: Examination, plan: list[Fix]) -> tuple[Worth | None, int | None]:
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
    gain = examination.gain(learnt, kept, untouched, "with the whole plan")
    return gain, int(untouched.sum())
