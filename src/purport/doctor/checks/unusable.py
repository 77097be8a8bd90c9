"""Rows that cannot be used, rows without a label, and label names that are nearly the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...text import normal_form
from ..examination import Examination
from ..finding import Finding, RowRef, Severity, Worth, count

NAME = "unusable"


def check(examination: Examination) -> Iterator[Finding]:
    """Unusable rows, unlabelled rows, label names that differ only in spelling."""
    table = examination.table
    for split, bad in table.bad_rows.items():
        yield Finding(
            check=NAME,
            severity=Severity.ERROR,
            title=f"Unusable: {count(len(bad), 'row')} of {split}",
            why="Training stops at such rows instead of skipping them silently.",
            remedy="Correct these rows in the file, or delete them.",
            n_rows=len(bad),
            rows=tuple(RowRef(split=split, row=row.number, text="", labels=(), note=row.problem) for row in bad[:200]),
        )
    unlabelled = [position for position, gold in enumerate(table.gold) if not gold]
    if unlabelled:
        yield examination.finding(
            NAME,
            Severity.INFO,
            unlabelled,
            title=f"No label: {count(len(unlabelled), 'row')}",
            why="Rows without a label teach the model what is out of scope. If they are in scope, a label is missing.",
            remedy='Label them, or train with unlabelled = "out_of_scope" if no label applies.',
            worth=examination.excess_error(unlabelled),
        )
    by_form: dict[str, list[str]] = {}
    for label in table.labels:
        by_form.setdefault(normal_form(label.replace("_", " ").replace("-", " ")), []).append(label)
    counts = table.matrix.sum(axis=0)
    for names in by_form.values():
        if len(names) < 2:
            continue
        columns = [table.labels.index(name) for name in names]
        rows = np.flatnonzero(table.matrix[:, columns].any(axis=1))
        minority = int(counts[columns].sum() - counts[columns].max())
        yield examination.finding(
            NAME,
            Severity.ERROR,
            rows,
            title=f"Label names that differ only in spelling: {', '.join(names)}",
            why="The model treats them as different intents and has to guess which spelling is expected.",
            remedy="Use one name for all of them.",
            labels=tuple(names),
            worth=Worth(kind="limit", value=minority / len(table), how="rows with the rarer spelling"),
        )
