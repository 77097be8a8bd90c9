"""Suspected label errors (confident learning), likely missing labels, and intents that are hard to tell apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

from ...data.table import Positions, RowTable
from ...evaluation import quick
from ...model import BoolArray, FloatArray
from ..examination import Examination
from ..finding import Finding, Severity, Worth, count
from ..neighbours import neighbour_votes

NAME = "labels"
_LEAST_ROWS = 20  # with fewer training or evaluation rows, nothing can be said about their labels
_LEAST_CLASS = 5
_KNOWN = 0.6  # F1 on a label above which the model may question it
# What a relabelling needs to be proposed, chosen with benchmarks/doctor_precision.py (docs/decisions/0020):
_WELL_KNOWN = 0.7  # F1 on the old and on the new label
_UNSURE, _DISSENT = 0.3, 0.15  # most doubt of the model and of the nearest rows, as a share of that of a random guess
_MORE_FREQUENT, _SEEN = 5, 100  # a label this much more frequent than one with fewer rows than this attracts its rows
_OVERLAP = 0.15
_LEAST_CONFUSED = 5


def check(examination: Examination) -> Iterator[Finding]:
    """Confident learning (Northcutt et al. 2021) on probabilities of a model that was not trained on the row."""
    for positions, role in ((examination.training, "training"), (examination.evaluation, "evaluation")):
        labelled = positions[examination.table.matrix[positions].any(axis=1)]
        if len(labelled) >= _LEAST_ROWS:
            yield from _suspects(examination, labelled, role)
    yield from _overlaps(examination)


def _f1(proba: FloatArray, gold: BoolArray, *, exclusive: bool) -> FloatArray:
    """F1 of the model on each label ``(n_labels,)``."""
    decided = quick.decide(proba, exclusive=exclusive)
    return np.asarray(2 * (decided & gold).sum(axis=0) / np.maximum(decided.sum(axis=0) + gold.sum(axis=0), 1))


def _exclusive(proba: FloatArray, gold: BoolArray, known: BoolArray) -> BoolArray:
    """Suggested labels in place of ``gold``, one label per row: ``(n, n_labels) bool``.

    Rows are ranked by the probability of their own label; the confident joint gives the number of rows to change.
    """
    present = np.flatnonzero(gold.any(axis=0))
    if len(present) < 2:
        return gold
    given = gold[:, present].argmax(axis=1)
    inside = proba[:, present].astype(np.float64) + 1e-9
    inside /= inside.sum(axis=1, keepdims=True)
    issues = find_label_issues(given, inside, filter_by="low_self_confidence", n_jobs=1)
    best = inside.argmax(axis=1)
    issues &= (best != given) & known[present[given]]
    corrected = gold.copy()
    corrected[issues] = False
    corrected[issues, present[best[issues]]] = True
    return corrected


def _multilabel(proba: FloatArray, gold: BoolArray, known: BoolArray) -> BoolArray:
    """The same for several labels per row; each label is judged against the rest."""
    corrected, counts = gold.copy(), gold.sum(axis=0)
    usable = np.flatnonzero((counts >= _LEAST_CLASS) & (counts < len(gold)) & known)
    if len(usable):
        positive = np.clip(proba[:, usable].astype(np.float64), 1e-6, 1 - 1e-6)
        given = [np.flatnonzero(row).tolist() for row in gold[:, usable]]
        issues = find_multilabel_issues_per_class(given, positive, filter_by="low_self_confidence", n_jobs=1)
        issues &= (positive >= 0.5) != gold[:, usable]
        corrected[:, usable] ^= issues
    return corrected


def _disputed(table: RowTable) -> list[int]:
    """Rows whose text has other labels elsewhere: each of two would get the label of the other."""
    return [row for group in table.same_text if len({table.gold[row] for row in group}) > 1 for row in group]


def _suspects(examination: Examination, positions: Positions, role: str) -> Iterator[Finding]:
    exclusive, names = examination.table.exclusive, examination.table.labels.names
    proba, gold = examination.probabilities[positions], examination.gold(positions)
    f1 = _f1(proba, gold, exclusive=exclusive)
    corrected = (_exclusive if exclusive else _multilabel)(proba, gold, f1 >= _KNOWN)
    _suggest_where_none(corrected, proba, gold)
    wrong, missing = gold & ~corrected, corrected & ~gold
    sure = np.zeros(len(positions), dtype=np.bool_)
    if role == "training":
        sure = _sure(examination, positions, proba, gold, corrected, f1)
        sure &= ~np.isin(positions, _disputed(examination.table))
    unknown = int((gold.any(axis=0) & (f1 < _KNOWN)).sum())
    unjudged = f" Labels that it predicts too poorly to judge (F1 under {_KNOWN}): {unknown}." * (unknown > 0)
    doubt = np.where(wrong, 1 - proba, np.where(missing, proba, 0.0)).max(axis=1)
    suspected = wrong.any(axis=1)
    for chosen, is_missing in ((suspected, False), (missing.any(axis=1) & ~suspected, True)):
        if not chosen.any():
            continue
        order = np.flatnonzero(chosen)[np.argsort(-doubt[chosen], kind="stable")]
        fixes, notes = [], []
        for row in order:
            suggested = [names[column] for column in np.flatnonzero(corrected[row])]
            least = min(float(proba[row, column]) for column in np.flatnonzero(corrected[row]))
            notes.append(f"suggested: {'+'.join(suggested)} ({least:.2f})")
            why = f"suspected label error; {notes[-1]}"
            apply = bool(sure[row])
            fixes.append(examination.fix(int(positions[row]), "relabel", NAME, why, apply=apply, labels=suggested))
        share, rows = len(order) / len(positions), positions[order]
        worth = Worth(kind="limit", value=share, how="rows whose gold label may be wrong")
        if role == "training":
            worth = _gain(examination, positions, corrected, order[sure[order]] if sure[order].any() else order)
        yield examination.finding(
            NAME,
            Severity.WARNING if share >= 0.005 else Severity.INFO,
            dict(zip(rows, notes, strict=True)),
            title=f"{'Likely missing second label' if is_missing else 'Suspected label error'}: "
            f"{count(len(rows), f'{role} row')}",
            why=f"That is {share:.2%} of these rows. By confident learning, a model that was not trained on a row "
            f"disagrees with its label more than the model's own errors explain.{unjudged}",
            remedy="Review the rows in this order: the most likely errors come first.",
            labels=tuple(names[column] for column in np.flatnonzero((wrong | missing)[order].any(axis=0))),
            worth=worth,
            fixes=tuple(fixes),
        )


def _suggest_where_none(corrected: BoolArray, proba: FloatArray, gold: BoolArray) -> None:
    """Where a suspicion leaves a row of ``corrected`` without a label, suggest the likeliest other one."""
    bare = np.flatnonzero(gold.any(axis=1) & ~corrected.any(axis=1))
    corrected[bare, np.where(gold[bare], -1.0, proba[bare]).argmax(axis=1)] = True


def _sure(
    examination: Examination,
    positions: Positions,
    proba: FloatArray,
    gold: BoolArray,
    corrected: BoolArray,
    f1: FloatArray,
) -> BoolArray:
    """Rows whose relabelling is proposed ``(n,) bool``: one label for another, both well known, and both judges agree.

    The judges are the model and the nearest training rows.
    """
    wrong, missing, counts = gold & ~corrected, corrected & ~gold, gold.sum(axis=0)
    sure: BoolArray = (wrong.sum(axis=1) == 1) & (missing.sum(axis=1) == 1)
    rows = np.flatnonzero(sure)
    old, new = wrong[rows].argmax(axis=1), missing[rows].argmax(axis=1)
    guess = 1 - counts[new] / len(positions)  # doubt of who only knows how frequent the label is
    known = (np.minimum(f1[old], f1[new]) >= _WELL_KNOWN) & (1 - proba[rows, new] <= _UNSURE * guess)
    known &= (counts[new] <= _MORE_FREQUENT * counts[old]) | (counts[old] >= _SEEN)
    sure[rows[~known]] = False
    rows, new, guess = rows[known], new[known], guess[known]
    if len(rows):
        votes = neighbour_votes(examination, positions[rows])[np.arange(len(rows)), new]
        sure[rows[1 - votes > _DISSENT * guess]] = False
    return sure


def _gain(examination: Examination, positions: Positions, corrected: BoolArray, order: Positions) -> Worth:
    """What relabelling the rows ``positions[order]`` gains on all other training rows."""
    learnt = examination.gold(examination.training)
    at = np.searchsorted(examination.training, positions[order])
    learnt[at] = corrected[order]
    trusted = np.ones(len(learnt), dtype=np.bool_)
    trusted[at] = False
    how = f"cross-validated exact match on the other rows after relabelling {count(len(order), 'row')} as suggested"
    return examination.gain(learnt, np.ones_like(trusted), trusted, how)


def _overlaps(examination: Examination) -> Iterator[Finding]:
    table = examination.table
    positions = np.concatenate([examination.training, examination.evaluation])
    gold = table.matrix[positions]
    decided = examination.decided[positions]
    missed, added = (gold & ~decided).astype(np.float32), (decided & ~gold).astype(np.float32)
    confused = missed.T @ added  # [a, b]: rows of a that were classified as b
    both = confused + confused.T
    counts = gold.sum(axis=0)
    taught = table.matrix[examination.training].sum(axis=0) >= _LEAST_CLASS
    both[~taught] = both[:, ~taught] = 0
    for first, second in zip(*np.nonzero(np.triu(both, 1) >= _LEAST_CONFUSED), strict=True):
        smaller, total = min(counts[first], counts[second]), int(both[first, second])
        if not smaller or total < _OVERLAP * smaller:
            continue
        a, b = table.labels.names[first], table.labels.names[second]
        pair = ((missed[:, first] * added[:, second]) + (missed[:, second] * added[:, first])) > 0
        rows = positions[np.flatnonzero(pair)]
        yield examination.finding(
            NAME,
            Severity.WARNING,
            rows,
            title=f'Overlapping labels "{a}" and "{b}": {count(total, "row")} confused',
            why=f'"{a}" has {counts[first]:,} rows, "{b}" has {counts[second]:,}. A linear model classified '
            f'{confused[first, second]:.0f} rows of "{a}" as "{b}" and {confused[second, first]:.0f} the other way.',
            remedy="Write down how the two labels differ and relabel these rows accordingly, or merge the labels.",
            labels=(a, b),
            worth=Worth(kind="bound", value=len(rows) / len(positions), how="rows that the linear model confused"),
        )
