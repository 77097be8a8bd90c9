"""Rows that cannot be used, rows without a label, and label names that are nearly the same or mean none."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ...data.names import means_none, same_but_for_case_accents_and_spaces, twins
from ...data.table import RowTable
from ..examination import Examination
from ..finding import Finding, Fix, RowRef, Severity, Worth, count

NAME = "unusable"


def check(examination: Examination) -> Iterator[Finding]:
    """Unusable rows, unlabelled rows, names that mean that no label applies or differ only in spelling."""
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
    yield from _unlabelled(examination)
    yield from _out_of_scope(examination)
    yield from _twins(examination)


def _unlabelled(examination: Examination) -> Iterator[Finding]:
    rows = [position for position, gold in enumerate(examination.table.gold) if not gold]
    if rows:
        yield examination.finding(
            NAME,
            Severity.INFO,
            rows,
            title=f"No label: {count(len(rows), 'row')}",
            why="Rows without a label teach the model what is out of scope. If they are in scope, a label is missing.",
            remedy='Label them, or train with unlabelled = "out_of_scope" if no label applies.',
        )


def _out_of_scope(examination: Examination) -> Iterator[Finding]:
    written = examination.as_written or examination.table
    counts = _counts(written)
    names = sorted(filter(means_none, counts))
    if not names:
        return
    flags = " ".join(f"--out-of-scope {shlex.quote(name)}" for name in names)
    yield examination.finding(
        NAME,
        Severity.INFO,
        [position for position, gold in enumerate(written.gold) if not set(gold).isdisjoint(names)],
        title="Label that seems to mean that none applies: " + _listed(names, counts),
        why="As a label it is one more intent to be learnt, although its texts have nothing in common. As out of "
        "scope, its rows teach the model when to answer that no label applies.",
        remedy=f"If so, add {', '.join(json.dumps(name, ensure_ascii=False) for name in names)} to the list "
        f"data.out_of_scope in the recipe, and pass {flags} to purport doctor, too.",
        labels=tuple(name for name in names if name in examination.table.labels),
    )


def _twins(examination: Examination) -> Iterator[Finding]:
    written = examination.as_written or examination.table
    counts = _counts(written)
    found: dict[str, list[str]] = {}
    for name, kept in twins(counts).items():
        found.setdefault(kept, []).append(name)
    for kept, others in found.items():
        columns = [written.labels.index(name) for name in others]
        rows = np.flatnonzero(written.matrix[:, columns].any(axis=1))
        spelt = [same_but_for_case_accents_and_spaces(name, kept) for name in others]
        yield examination.finding(
            NAME,
            Severity.ERROR,
            rows,
            title="Label names that differ only in spelling: " + _listed((kept, *others), counts),
            why="The model treats them as different intents and has to guess which spelling is expected.",
            remedy=f'Use one name for all of them: the plan renames the others to "{kept}" in every row. '
            "All other checks already take them for one label.",
            labels=(kept, *others),
            worth=Worth(kind="limit", value=len(rows) / len(written), how="rows with a rarer spelling"),
            fixes=tuple(
                Fix(apply=same, action="merge", labels=(name,), new_labels=(kept,), check=NAME,
                    why=f'{count(counts[name], "row")}; "{kept}" has {counts[kept]:,}')
                for name, same in zip(others, spelt, strict=True)
            ),
        )  # fmt: skip


def _counts(table: RowTable) -> Counter[str]:
    return Counter(label for gold in table.gold for label in gold)


def _listed(names: Iterable[str], counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({counts[name]:,})" for name in names)
