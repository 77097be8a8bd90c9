"""Puts labelled texts into a table that somebody keeps: in its own columns, dialect and encoding."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..data.dataset import Split, require_file
from ..data.hints import Hints
from ..data.reading import Example, Reading
from ..data.spec import DataSpec
from ..doctor.apply import require_same, write_rows
from ..doctor.correction import Correction, label_cell
from ..doctor.finding import Fix
from ..doctor.source import Source
from ..errors import DataError, OutputExists
from ..files import replacing
from ..labelling.answered import same
from ..labels import Task


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with its labels, none if no label applies; ``corrects`` says whether a row of the table is changed to
    these labels, which only the decision of a person may do."""

    text: str
    labels: tuple[str, ...]
    corrects: bool = True


@dataclass(frozen=True, slots=True)
class Merged:
    """The number of rows ``added`` to the table, ``corrected`` in it, and of texts that it has, so that they change
    nothing (``kept``); ``none`` is the label in it of texts that no label applies to, empty if they have none."""

    added: int
    corrected: int
    kept: int
    none: str = ""


def merge_for(
    hints: Hints, rows: Sequence[Labelled], table: Path, named: DataSpec, target: Path, say: Callable[[str], None]
) -> Merged:
    """:func:`merge`, where ``table`` is read for the bundle of ``hints``; only what the user named is set in ``named``.

    ``say`` gets a line: how it is read. A joint label is written as the labels that it combines.

    Raises:
        OutputExists, DataError: see :func:`merge`.
    """
    reading = hints.reading(named, say, several=True, usual=True)
    reading = replace(reading, task=Task.MULTILABEL, joint=False, joined_by=None, confidence=None)
    apart = [replace(each, labels=tuple(sorted(hints.spec.parts(frozenset(each.labels))))) for each in rows]
    return merge(apart, table, reading, target)


def merge(rows: Sequence[Labelled], table: Path, reading: Reading, target: Path) -> Merged:
    """Write ``table`` to ``target`` with ``rows``: one whose text is in the table corrects all rows with this text, and
    any other one comes behind the last. Everything else stays, unusable rows too.

    Raises:
        OutputExists: there is a file ``target``.
        DataError: the table cannot be read, or cannot hold a text or label.
    """
    if target.exists():
        raise OutputExists(f"{target} already exists; name a new file, so that no table is lost")
    require_file(table)
    source = Source.load(str(table), reading.of(table))
    (split,) = source.dataset.splits.values()
    by_text = {same(each.text): each for each in rows}
    known = {same(text) for text in split.texts}
    fixes = [
        Fix(apply=True, action="relabel", split=split.name, row=example.row, text=example.text, labels=example.labels,
            new_labels=found.labels, check="review", why="reviewed")
        for example in split
        if (found := by_text.get(same(example.text))) and found.corrects and found.labels != example.labels
    ]  # fmt: skip
    kept = list(Correction(fixes).rows(source, split.name))
    new = [each for text, each in by_text.items() if text not in known]
    old = next((each.cells for each in kept if isinstance(each, Example) and each.cells), {})
    added = [_appended(each, old, source, split) for each in new]
    _write([*kept, *added], source, split, target)
    changed = {same(fix.text) for fix in fixes}
    return Merged(len(added), len(fixes), len(by_text) - len(added) - len(changed), source.none(split) or "")


def _appended(new: Labelled, old: Any, source: Source, split: Split) -> Example:
    """A row for ``new``, written as the row with the cells ``old`` is; other columns are empty."""
    layout = source.layout(split)
    column = layout.label_column or "label"
    cell = label_cell(old.get(column), new.labels, source, split, f'the text "{new.text[:40]}"')
    return Example(new.text, new.labels, cells=dict.fromkeys(old) | {layout.text_column: new.text, column: cell})


def _write(rows: Sequence[Any], source: Source, split: Split, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        made = Path(work, target.name)
        try:
            write_rows(rows, source, split, made)
        except UnicodeEncodeError as error:
            sign, encoding = error.object[error.start], source.layout(split).encoding
            raise DataError(
                f"{target.name} cannot hold {sign!r} in its encoding ({encoding}); save the table as UTF-8 first"
            ) from None
        require_same(rows, source, split, made)
        with replacing(target) as partial:
            shutil.copyfile(made, partial)
