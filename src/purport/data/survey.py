"""A dataset before anything is trained: how its files are read, what is in them, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ..errors import RowInvalid
from ..labels import Task
from ..progress import SILENT, Reporter
from ..wording import count
from .catalog import load
from .dataset import REMEDY, Dataset
from .formats import BadRow, Layout, Understood, understand
from .reading import Example, Reading
from .spec import DataSpec
from .suspicions import advised, suspicions

_SHOWN = 3
_LABELS_SHOWN = 5


@dataclass(frozen=True)
class FileRead:
    """How the file ``path`` of ``split`` is read; ``split`` is empty for a file alone, ``also`` are columns used beside
    texts and labels."""

    path: Path
    split: str
    found: Understood
    label_delimiter: str
    also: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """One sentence, such as ``a.csv (train): header; text from "Frage", labels from "Absicht"``."""
        layout = self.found.layout
        parts = [*self.found.notes]
        if layout.header is not None:
            parts.append("with a header" if layout.header else "without a header")
        labels = layout.label_column is not None
        columns = f'texts from "{layout.text_column}"' + f', labels from "{layout.label_column}"' * labels
        without = "texts from column 1" + ", labels from column 2" * labels
        parts.append(columns if layout.header is not False else without)
        if labels and self.label_delimiter != Layout().label_delimiter:
            parts.append(f'"{self.label_delimiter}" between the labels of a row')
        if self.also:
            parts.append(f"also used: {', '.join(self.also)}")
        others = [name for name in self.found.columns if name not in (*layout.columns, *self.also)]
        if others:
            parts.append(f"not used: {', '.join(others)}")
        split = f" ({self.split})" if self.split else ""
        return f"{self.path}{split}: {'; '.join(parts)}"


@dataclass(frozen=True)
class Survey:
    """What was found. ``task`` is the one that the rows need, ``why`` says so.

    ``problems`` names every unusable row, ``left_out`` says how many rows were left out. ``advised`` are options that
    ``suspicions`` recommend, each with its value.
    """

    spec: DataSpec
    dataset: Dataset
    files: tuple[FileRead, ...]
    shown: tuple[Example, ...]
    problems: tuple[str, ...]
    left_out: tuple[str, ...]
    suspicions: tuple[str, ...]
    task: Task
    why: str
    advised: tuple[tuple[str, str], ...] = ()

    @property
    def frequencies(self) -> str:
        """How many labels there are, those with most rows and those with fewest; empty without any."""
        total = sum((split.label_counts for split in self.dataset.splits.values()), Counter())
        named = [f"{label} ({number:,})" for label, number in total.most_common()]
        if not named:
            return ""
        if len(named) <= 2 * _LABELS_SHOWN:
            return f"{count(len(named), 'label')}: {', '.join(named)}"
        most, least = ", ".join(named[:_LABELS_SHOWN]), ", ".join(named[-_LABELS_SHOWN:])
        return f"{count(len(named), 'label')}, the most frequent: {most}; the rarest: {least}"

    @property
    def said(self) -> tuple[str, ...]:
        """How each file is read, what was left out, and what is suspicious."""
        return (
            *(file.in_words for file in self.files),
            *self.left_out,
            *(f"warning: {each}" for each in self.suspicions),
        )


def survey(
    spec: DataSpec, task: Task | None = None, reporter: Reporter = SILENT, *, unlabelled_is_chosen: bool = False
) -> Survey:
    """Read every row of every split of ``spec``; rows that cannot be used are collected, split by split.

    Rows without a label are suspicious unless somebody has chosen how to read them.

    Raises:
        DataError: the data cannot be read, or it is doubtful how.
    """
    bad: dict[str, list[BadRow]] = {}
    reading = spec.reading(task or (Task.MULTICLASS if spec.joint else Task.MULTILABEL))
    source = load(
        spec.name, replace(reading, on_bad_row=lambda split, row: bad.setdefault(split, []).append(row)), reporter
    )
    files = tuple(
        FileRead(path, name, understand(path, split.reading.layout), split.reading.layout.label_delimiter)
        for name, split in source.splits.items()
        if split.reading is not None
        for path in split.files
    )
    splits = {name: split.held(name) for name, split in source.splits.items()}
    dataset = Dataset(source.name, splits, reading.task)
    first = splits.get("train") or next(iter(splits.values()))
    rows = list(first)
    several = sum(len(example.labels) > 1 for example in rows)
    chosen = task or (Task.MULTILABEL if several else Task.MULTICLASS)
    why = f"{several:,} of {count(len(rows), 'row')} have several labels" if several else "no row has several labels"
    return Survey(
        spec=spec,
        dataset=dataset,
        files=files,
        shown=tuple(islice(rows, _SHOWN)),
        problems=tuple(_problems(source, bad, reading)),
        left_out=tuple(reading.left_out),
        suspicions=tuple(suspicions(rows, reading, unlabelled_is_chosen=unlabelled_is_chosen)),
        task=chosen,
        why=why,
        advised=tuple(advised(rows, reading)),
    )


def _problems(source: Dataset, bad: dict[str, list[BadRow]], reading: Reading) -> Iterator[str]:
    for name, rows in bad.items():
        shown = [(row.number, row.problem) for row in rows]
        yield str(RowInvalid(source[name].files[0], shown, REMEDY))
    labels = {label for split in source.splits.values() for label in split.label_counts}
    yield from reading.unused_names(source.name, labels)
    if not labels and not bad:
        yield f"no row of {source.name} has a label; name the label column with --label-column, or label the rows"
