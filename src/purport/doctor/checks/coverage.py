"""Labels without training rows, with too few, or with too little variety."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from ...data.facts import RARE
from ...data.names import means_none
from ...evaluation.explore.measure import ngrams
from ...text import phrase
from ..examination import Examination
from ..finding import Finding, Severity, Worth, count

NAME = "coverage"
_RUN, _UNSPACED_RUN = 7, 14  # words, or characters of a script without spaces: so long a run is more than an opening
_SHARE = 0.25
_LEAST = 8


def check(examination: Examination) -> Iterator[Finding]:
    """Labels missing from train, labels missing from every evaluation split, rare labels, labels with one wording."""
    yield from _unseen(examination)
    yield from _unmeasured(examination)
    yield from _rare(examination)
    yield from _one_source(examination)


def _unseen(examination: Examination) -> Iterator[Finding]:
    table = examination.table
    taught = table.matrix[table.is_training].any(axis=0)
    if not table.is_training.any():
        return
    for split in table.split_names:
        positions = table.positions(split)
        for column in np.flatnonzero(table.matrix[positions].any(axis=0) & ~taught):
            rows = positions[table.matrix[positions, column]]
            share = len(rows) / len(positions)
            label = table.labels.names[column]
            yield examination.finding(
                NAME,
                Severity.ERROR,
                rows,
                title=f'Not in train: "{label}", in {len(rows):,} of {len(positions):,} rows of {split}',
                why=f"No model trained on this data can predict it: exact match on {split} cannot exceed "
                f"{1 - share:.2%}.",
                remedy=f'If it means that no label applies, add "{label}" to the list data.out_of_scope in the recipe.'
                if means_none(label)
                else "Add training rows with this label, or remove it from the evaluation rows.",
                labels=(label,),
                worth=Worth(kind="limit", value=share, how=f"rows of {split} with this label"),
            )


def _unmeasured(examination: Examination) -> Iterator[Finding]:
    table = examination.table
    taught, measured = table.matrix[table.is_training].any(axis=0), table.matrix[~table.is_training].any(axis=0)
    names = tuple(table.labels.names[column] for column in np.flatnonzero(taught & ~measured))
    if names and not table.is_training.all():
        yield examination.finding(
            NAME,
            Severity.INFO,
            (),
            title=f"Not evaluated: {', '.join(names[:8])}{'…' if len(names) > 8 else ''}",
            why="No evaluation split has a row with these labels, so their quality is unknown.",
            remedy="Add rows with these labels to the test split.",
            labels=names,
        )


def _rare(examination: Examination) -> Iterator[Finding]:
    table = examination.table
    counts = table.matrix[examination.training].sum(axis=0)
    rare = np.flatnonzero((counts > 0) & (counts < RARE))
    if not len(rare):
        return
    names = [table.labels.names[column] for column in rare[np.argsort(counts[rare])]]
    rows = examination.training[table.matrix[np.ix_(examination.training, rare)].any(axis=1)]
    listed = ", ".join(f"{name} ({counts[table.labels.index(name)]})" for name in names[:8])
    yield examination.finding(
        NAME,
        Severity.WARNING,
        rows,
        title=f"Fewer than {RARE} training rows: {listed}{'…' if len(names) > 8 else ''}",
        why="The model sees only a handful of wordings of each of these labels.",
        remedy="Collect more rows for these labels, or merge each with a related label.",
        labels=tuple(names),
        worth=examination.excess_error(rows),
    )


def _one_source(examination: Examination) -> Iterator[Finding]:
    table = examination.table
    for split in table.split_names:
        runs: dict[int, Counter[str]] = {}
        distinct: Counter[int] = Counter()
        first: dict[str, int] = {}
        positions = table.positions(split).tolist()
        for position in positions:
            first.setdefault(table.forms[position], position)
        length = _UNSPACED_RUN if table.unspaced else _RUN
        for position in first.values():
            found = set(ngrams([table.words[position]], length, frozenset()))
            for column in np.flatnonzero(table.matrix[position]).tolist():
                distinct[column] += 1
                runs.setdefault(column, Counter()).update(found)
        for column, counter in runs.items():
            run, most = _most_common(counter)
            if most < _LEAST or most < _SHARE * distinct[column]:
                continue
            label = table.labels.names[column]
            rows = [
                position for position in positions
                if table.matrix[position, column] and f" {run} " in f" {' '.join(table.words[position])} "
            ]  # fmt: skip
            phrase = _longest_shared([table.words[position] for position in rows], run)
            share = most / distinct[column]
            yield examination.finding(
                NAME,
                Severity.WARNING,
                rows,
                title=f'One wording: {count(len(rows), "row")} of {split} with "{label}" share most of their text',
                why=f"{share:.0%} of the distinct rows with this label are variants of one sentence. "
                + (
                    "The model learns that sentence, not the intent."
                    if table.is_training[rows[0]]
                    else "The metrics of this label mostly measure that sentence."
                ),
                remedy="Collect other wordings of the intent, and keep only a few of these.",
                quote=phrase,
                labels=(label,),
                worth=examination.excess_error(rows),
            )


def _most_common(counts: Counter[str]) -> tuple[str, int]:
    return max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))


def _longest_shared(rows: list[list[str]], run: str) -> str:
    """``run`` extended word by word for as long as at least four rows in five contain it."""
    texts = [f" {' '.join(row)} " for row in rows]
    need = 0.8 * len(texts)
    grown = run.split()
    for after in (True, False):
        while True:
            nearby: Counter[str] = Counter()
            inner = f" {' '.join(grown)} "
            for text in texts:
                head, found, tail = text.partition(inner)
                if found:
                    nearby.update(tail.split()[:1] if after else head.split()[-1:])
            word, most = _most_common(nearby)
            if most < need or not word:
                break
            grown = [*grown, word] if after else [word, *grown]
    return phrase(grown)
