"""Examples in named splits, with a label set and a content fingerprint.

A split is read from its source each time it is iterated, so that it does not have to fit into memory.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, DatasetNotFound, LabelUnknown, RowInvalid, SplitUnknown, did_you_mean
from ..labels import LabelSet, Task
from . import shares
from .formats import BadRow, Row, is_blank, read_rows
from .reading import Example, Reading
from .stratify import stratified_mask

_MOST_PROBLEMS = 5
REMEDY = "Correct the file and run the command again."
"""What to do about rows that cannot be used."""
_LISTS_ALL = "`purport data` lists all of them. "


class Split:
    """One split: an iterable of examples that can be read repeatedly.

    ``len``, ``label_counts`` and ``fingerprint`` are computed together in one pass, when one is first needed.
    ``files`` have these rows and no others, and ``reading`` is how they are read; both are empty for rows in memory.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterable[Example]],
        files: Sequence[Path] = (),
        reading: Reading | None = None,
    ) -> None:
        self.name = name
        self.files = tuple(files)
        self.reading = reading
        self._read = read

    def __iter__(self) -> Iterator[Example]:
        return iter(self._read())

    def __len__(self) -> int:
        return self._summary[0]

    @property
    def label_counts(self) -> Counter[str]:
        """The number of examples with each label."""
        return self._summary[1]

    @property
    def fingerprint(self) -> str:
        """sha256 of texts, labels and weights, independent of the file format and of the order of a row's labels."""
        return self._summary[2]

    @property
    def texts(self) -> Iterator[str]:
        """The utterances, in order."""
        return (example.text for example in self)

    @property
    def gold(self) -> Iterator[tuple[str, ...]]:
        """The gold labels, in order."""
        return (example.labels for example in self)

    @cached_property
    def _summary(self) -> tuple[int, Counter[str], str]:
        count, labels, digest = 0, Counter[str](), hashlib.sha256()
        for example in self:
            count += 1
            labels.update(example.labels)
            weight = (f"\x1d{example.weight}",) if example.weight != 1 else ()
            digest.update("\x1f".join((example.text, *example.labels, *weight)).encode() + b"\x1e")
        return count, labels, digest.hexdigest()

    def named(self, name: str) -> Split:
        """The same examples in a split called ``name``."""
        return Split(name, self._read)

    def held(self, name: str | None = None) -> Split:
        """The same examples, read once and kept in memory."""
        examples = list(iter(self))  # through an iterator, because list(self) would call len, an extra pass
        return Split(name or self.name, examples.__iter__)

    def where(self, mask: NDArray[np.bool_], name: str) -> Split:
        """The examples where ``mask`` ``(n,) bool`` is true, as a split called ``name``."""
        return Split(name, lambda: (example for example, keep in zip(self, mask, strict=True) if keep))


def file_split(name: str, path: Path, reading: Reading, allowed: LabelSet | None = None) -> Split:
    """The examples of one file. Rows with neither a text nor a label are left out and counted; where all columns are
    kept, to write the rows again, they are bad rows.

    Raises (on reading):
        RowInvalid: some rows cannot be used; the message lists the first few with file, row and remedy.
        DataError: the file is a directory or has no rows.
        DatasetNotFound: the file does not exist.
        LabelUnknown: a label is not among ``allowed``.
    """

    settled = cache(lambda: reading.of(path))

    def read() -> Iterator[Example]:
        require_file(path)
        reading = settled()
        problems: list[tuple[int, str]] = []
        found = bad = skipped = empty = 0
        for row in read_rows(path, reading.layout):
            if not reading.layout.keep_columns and is_empty(row):
                empty += 1
                continue
            example = row if isinstance(row, BadRow) else reading.example(row)
            if example is None:
                skipped += 1
                continue
            if isinstance(row, Row) and isinstance(example, BadRow):
                example = replace(example, cells=row.cells)
            if isinstance(example, Example) and allowed is not None:
                example = _check_labels(row.number, example, allowed)
            if isinstance(example, BadRow) and reading.on_bad_row is not None:
                reading.on_bad_row(name, example)
            elif isinstance(example, BadRow):
                bad += 1
                if len(problems) < _MOST_PROBLEMS:
                    problems.append((example.number, example.problem))
            elif not bad:
                yield example
            found += 1
        if bad:
            more = bad - len(problems)
            raise RowInvalid(path, problems, _LISTS_ALL * bool(more) + REMEDY, more)
        reading.tally.skipped[name, path] = skipped
        reading.tally.empty[name, path] = empty
        if not found and skipped:
            raise DataError(f"no row of {path} has a label, so that all {skipped:,} were left out; add labels")
        if not found:
            raise DataError(f"{path} has no rows; name a file with texts and labels")

    return Split(name, read, [path], reading)


def is_empty(row: Row | BadRow) -> bool:
    """Whether a row has neither a text nor a label: exports of spreadsheets end with such rows."""
    return row.empty if isinstance(row, BadRow) else is_blank(row.text) and is_blank(row.label)


def _joined(name: str, paths: Sequence[Path], reading: Reading, allowed: LabelSet | None) -> Split:
    """The rows of all files; those of the second one are numbered on from the last of the first."""
    if len(paths) == 1:
        return file_split(name, paths[0], reading, allowed)
    parts = [file_split(name, path, reading, allowed) for path in paths]

    def read() -> Iterator[Example]:
        before = last = 0
        for part in parts:
            for example in part:
                last = before + example.row
                yield replace(example, row=last)
            before = last

    return Split(name, read, paths, reading)


def _check_labels(number: int, example: Example, allowed: LabelSet) -> Example | BadRow:
    for label in example.labels:
        if label not in allowed:
            hint = did_you_mean(label, allowed)
            return BadRow(number, f'label "{label}" is not in the label set.{hint}')
    return example


def require_file(path: Path) -> None:
    """Check that ``path`` is a file.

    Raises:
        DatasetNotFound: nothing is there.
        DataError: it is a directory.
    """
    if path.is_dir():
        raise DataError(f"{path} is a directory; name a file in it, or load it as a dataset of splits")
    if not path.is_file():
        raise DatasetNotFound(f"no file {path}")


@dataclass(frozen=True)
class Dataset:
    """Examples in named splits.

    Unless it is given, ``labels`` is the label set of the split ``train``, or of all splits if there is no ``train``.
    Other splits may have labels outside it; :meth:`unseen` counts them.
    """

    name: str
    splits: Mapping[str, Split]
    task: Task = Task.MULTILABEL
    given_labels: LabelSet | None = None

    @classmethod
    def from_files(
        cls,
        splits: Mapping[str, str | os.PathLike[str] | Sequence[Path]],
        *,
        name: str = "files",
        reading: Reading | None = None,
        labels: Iterable[str] | None = None,
    ) -> Dataset:
        """One file per split, or several. If ``labels`` is given, other labels are an error when rows are read."""
        reading = reading or Reading()
        allowed = None if labels is None else LabelSet(labels)
        files = {key: [Path(path)] if isinstance(path, (str, os.PathLike)) else path for key, path in splits.items()}
        for path in chain.from_iterable(files.values()):
            require_file(path)
        return cls(
            name, {key: _joined(key, paths, reading, allowed) for key, paths in files.items()}, reading.task, allowed
        )

    @classmethod
    def from_examples(
        cls, splits: Mapping[str, Iterable[Example]], *, name: str = "examples", task: Task = Task.MULTILABEL
    ) -> Dataset:
        """Splits that are already in memory."""
        return cls(name, {key: Split(key, list(examples).__iter__) for key, examples in splits.items()}, task)

    def __getitem__(self, split: str) -> Split:
        try:
            return self.splits[split]
        except KeyError:
            raise SplitUnknown(
                f'dataset {self.name} has no split "{split}".{_split_hint(split, self.splits)}'
            ) from None

    @cached_property
    def labels(self) -> LabelSet:
        """The ordered labels that a model of this data can predict."""
        if self.given_labels is not None:
            return self.given_labels
        source = [self.splits["train"]] if "train" in self.splits else list(self.splits.values())
        return LabelSet(sorted({label for split in source for label in split.label_counts}))

    def unseen(self, split: str) -> dict[str, int]:
        """Labels in ``split`` that are not in the label set, with their counts."""
        counts = self[split].label_counts
        return {label: count for label, count in sorted(counts.items()) if label not in self.labels}

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the names and contents of all splits."""
        digest = hashlib.sha256()
        for name, split in sorted(self.splits.items()):
            digest.update(f"{name}\x1f{split.fingerprint}\x1e".encode())
        return digest.hexdigest()

    def with_share(
        self, name: str, fraction: float, *, seed: int, grouped: bool = True, source: str = "train"
    ) -> Dataset:
        """Move a stratified ``fraction`` of ``source`` to a split called ``name``; near-duplicates stay together.

        ``grouped = False`` draws row by row, as bundles of version 0.1 did.

        Raises:
            DataError: there already is such a split, or ``fraction`` leaves one of the two splits empty.
        """
        if name in self.splits:
            raise DataError(f"dataset {self.name} already has a split {name}; use it instead of a share of {source}")
        whole = self[source]
        mask = (
            shares.holdout(list(whole.held()), fraction, seed=seed)
            if grouped
            else stratified_mask(whole.gold, fraction, seed=seed)
        )
        if not 0 < int(mask.sum()) < len(mask):
            raise DataError(
                f"a share of {fraction} of {len(mask)} rows for {name} leaves a split empty; "
                "change the share or add rows that differ from each other"
            )
        parts = {**self.splits, source: whole.where(~mask, source), name: whole.where(mask, name)}
        return replace(self, splits=parts, given_labels=self.labels)


def _split_hint(split: str, known: Iterable[str]) -> str:
    if split in ("valid", "test", "calibration"):
        return (
            f"{did_you_mean(split, known)} Set aside a share of the train split with data.{split} = 0.1 in the recipe "
            f"(purport train … --set data.{split}=0.1), or add a file {split}.csv."
        )
    return did_you_mean(split, known)


def require_known(dataset: Dataset, split: str, labels: LabelSet) -> None:
    """Check that every label of ``split`` is in ``labels``.

    Raises:
        LabelUnknown: one is not. Splits that something is fitted on may not have labels that are not in train.
    """
    for label, count in sorted(dataset[split].label_counts.items()):
        if label not in labels:
            raise LabelUnknown(
                f'label "{label}" ({count} rows of split {split}) is not in the train split; '
                "add training rows with this label, or correct it"
            )
