"""Repeated texts: across splits (leakage), within a split (duplicates), and with different labels (conflicts)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ...data.table import is_evaluation
from ..examination import Examination
from ..finding import Finding, Fix, Severity, Worth, count

NAME = "repeats"
_MANY = 0.01  # share of rows above which conflicts are an error


def check(examination: Examination) -> Iterator[Finding]:
    """Leaks, duplicates and conflicts, both exact and near."""
    table = examination.table
    for split in table.split_names:
        if is_evaluation(split) and len(table.positions(split)):
            yield from _leak(examination, split, table.same_text, near=False)
            yield from _leak(examination, split, examination.near, near=True)
    yield from _duplicates(examination)
    yield from _conflicts(examination, table.same_text, near=False)
    yield from _conflicts(examination, examination.near, near=True)


def _leak(examination: Examination, split: str, groups: Sequence[list[int]], *, near: bool) -> Iterator[Finding]:
    table = examination.table
    measured = table.positions(split).tolist()
    notes: dict[int, str] = {}  # for each leaked row
    fixes: list[Fix] = []
    exact = 0
    taught: set[int] = set()  # leaked rows that are also in a training split
    for group in groups:
        # Splits are in order: training first, then evaluation by name.
        origin = [position for position in group if position < measured[0]]
        here = [position for position in group if measured[0] <= position <= measured[-1]]
        if near:
            known = {table.forms[position] for position in origin}
            here = [position for position in here if table.forms[position] not in known]
        if not origin or not here:
            continue
        same = {table.texts[position] for position in origin}
        places = ", ".join(f"{table.split(position)} {table.examples[position].row}" for position in origin[:3])
        places += f" and {len(origin) - 3} more" * (len(origin) > 3)
        for position in here:
            exact += table.texts[position] in same
            likeness = "" if table.texts[position] in same else ", except for case or punctuation"
            notes[position] = f"{places}: {table.texts[origin[0]]}" if near else places + likeness
        why = f"also in {table.split(here[0])}, row {table.examples[here[0]].row}"
        training = [position for position in origin if table.is_training[position]]
        taught.update(here if training else ())
        fixes += [examination.fix(position, "drop", NAME, why, apply=not near) for position in training]
    if not notes:
        return
    rows = sorted(notes)
    share = len(rows) / len(measured)
    detail = "" if near else f" ({exact} exact)"
    many = 2 * len(fixes) > len(examination.training)
    yield examination.finding(
        NAME,
        Severity.ERROR if not near else Severity.WARNING if share >= 0.01 else Severity.INFO,
        {row: notes[row] for row in rows},
        title=f"{'Near leak' if near else 'Leak'}: {count(len(rows), 'text')} of {split} also in another split{detail}",
        why=f"They are {share:.2%} of {split}. The model may have memorised them, so metrics on {split} look too good.",
        remedy=_leak_remedy(split, near=near, many=many),
        worth=_inflation(examination, split, sorted(taught)),
        fixes=() if many else tuple(fixes),
    )


def _leak_remedy(split: str, *, near: bool, many: bool) -> str:
    if near:
        return "Review them: templates filled with other names are harmless, rewordings of one message are not."
    if many:
        return f"Most training rows are copies of {split}: collect new rows for {split}, or split the data again."
    return "Drop the copies in train and train again; keep the evaluation rows."


def _inflation(examination: Examination, split: str, leaked: list[int]) -> Worth:
    """How much better the metrics of ``split`` are than those of its rows that are not, even nearly, in train."""
    table = examination.table
    if not leaked:
        return Worth(kind="inflation", value=None, how="these rows are in other evaluation splits only, not in train")
    seen = [group for groups in (table.same_text, examination.near) for group in groups]
    taught = {position for group in seen if table.is_training[group].any() for position in group}
    fresh = [position for position in table.positions(split).tolist() if position not in taught]
    if not fresh:
        return Worth(kind="inflation", value=None, how=f"no fresh row of {split} is left to compare with")
    here, there = float(examination.right[leaked].mean()), float(examination.right[fresh].mean())
    share = len(leaked) / (len(leaked) + len(fresh))
    how = f"exact match is {here:.1%} on these {len(leaked):,} rows and {there:.1%} on the {len(fresh):,} fresh ones"
    return Worth(kind="inflation", value=(here - there) * share, how=how)


def _duplicates(examination: Examination) -> Iterator[Finding]:
    table = examination.table
    for split in table.split_names:
        inside = set(table.positions(split).tolist())
        notes: dict[int, str] = {}  # for each copy
        for group in table.same_text:
            firsts: dict[tuple[str, ...], int] = {}
            for position in filter(inside.__contains__, group):
                original = firsts.setdefault(table.gold[position], position)
                if original != position:
                    notes[position] = f"same as row {table.examples[original].row}"
        if not notes:
            continue
        share = len(notes) / len(inside)
        yield examination.finding(
            NAME,
            Severity.WARNING if share >= 0.01 else Severity.INFO,
            notes,
            title=f"Duplicates: {count(len(notes), 'row')} of {split}",
            why=f"{share:.2%} of {split} "
            + (
                "are repeats, so confidence intervals are narrower than they should be."
                if is_evaluation(split)
                else "are repeats. They weigh more in training, and a random split can put copies on both sides."
            ),
            remedy="Keep one of each, unless the repetition reflects how often people say it.",
            fixes=tuple(
                examination.fix(position, "drop", NAME, f"duplicate: {note}", apply=False)
                for position, note in notes.items()
            ),
        )


def _conflicts(examination: Examination, groups: Sequence[list[int]], *, near: bool) -> Iterator[Finding]:
    table = examination.table
    notes: dict[int, str] = {}  # for each row
    fixes: list[Fix] = []
    minority = 0
    for group in groups:
        votes = Counter(table.gold[position] for position in group)
        if len(votes) < 2 or (near and len({table.forms[position] for position in group}) < 2):
            continue
        winner, most = votes.most_common(1)[0]
        minority += len(group) - most
        for position in group:
            others = ", ".join("+".join(labels) or "none" for labels in votes if labels != table.gold[position])
            notes[position] = f"labelled elsewhere: {others}"
            if table.gold[position] != winner:
                why = (
                    f"{most} of {len(group)} {'near-' if near else ''}duplicates have {'+'.join(winner) or 'no label'}"
                )
                fixes.append(examination.fix(position, "relabel", NAME, why, apply=False, labels=winner))
    if not notes:
        return
    rows = list(notes)
    share = len(rows) / len(table)
    severity = Severity.ERROR if share >= _MANY and not near else Severity.WARNING
    yield examination.finding(
        NAME,
        severity,
        notes,
        title=f"{'Near-conflict' if near else 'Conflict'}: {count(len(rows), 'row')} with "
        f"{'nearly ' if near else ''}the same text and different labels",
        why="No model can get all of them right, and which label it learns is left to chance."
        if not near
        else "One word may make the difference, or the annotators may have disagreed.",
        remedy="Decide what the text means and give all of these rows the same label.",
        worth=Worth(
            kind="limit", value=minority / len(table), how="rows that contradict the majority label of their text"
        )
        if not near
        else examination.excess_error(rows),
        fixes=tuple(fixes),
    )
