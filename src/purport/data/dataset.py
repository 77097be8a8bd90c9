"""Examples in named splits, with a label set and a content fingerprint.

A split is read from its source each time it is iterated, so that it does not have to fit into memory.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, DatasetNotFound, LabelUnknown, RowInvalid, SplitUnknown, did_you_mean
from ..labels import LabelSet, Task
from .formats import BadRow, Layout, Row, read_rows
from .formats.text import NOT_UTF8, is_utf8
from .stratify import stratified_mask

_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance with its gold labels in alphabetical order; ``row`` is its row number in the file, from 1."""

    text: str
    labels: tuple[str, ...]
    row: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of files become examples.

    Attributes:
        task: ``multiclass`` requires exactly one label per row.
        layout: columns and delimiters of the files.
        joint: multiclass only: each combination of labels ("flight+airfare", in any order) becomes one label.
        unlabelled: rows without a label are an ``error``, ``out_of_scope`` (multilabel only), or left out (``skip``).
        on_bad_row: called with (split, bad row), after which reading continues; without it, bad rows are an error.
    """

    task: Task = Task.MULTILABEL
    layout: Layout = field(default_factory=Layout)
    joint: bool = False
    unlabelled: str = "error"
    on_bad_row: Callable[[str, BadRow], None] | None = field(default=None, compare=False)

    def example(self, row: Row) -> Example | BadRow | None:
        """``row`` as an example, as a bad row with the reason, or ``None`` where it is to be left out."""
        if not isinstance(row.text, str):
            return BadRow(row.number, f"text is {_kind(row.text)}, not a string; add a text or delete the row")
        if not row.text.strip():
            return BadRow(row.number, "text is empty; add a text or delete the row")
        if not is_utf8(row.text):
            return BadRow(row.number, NOT_UTF8)
        labels = self._labels(row.label)
        if isinstance(labels, str):
            return BadRow(row.number, labels)
        if not labels and self.unlabelled == "skip":
            return None
        return Example(row.text, labels, row.number)

    def _labels(self, value: Any) -> tuple[str, ...] | str:
        delimiter = self.layout.label_delimiter
        parts: Any = [] if value is None or value == "" else value
        if isinstance(parts, str):
            parts = parts.split(delimiter) if delimiter else [parts]
        if not isinstance(parts, list):
            return f"label is {_kind(value)}, not a string or a list of strings"
        parts = [part.strip() if isinstance(part, str) else part for part in parts]
        if any(not isinstance(part, str) or not part.strip() for part in parts):
            return f"label {value!r} has an empty part; remove it or add the missing label"
        if any(delimiter and delimiter in part for part in parts):
            return f"label {value!r} contains the delimiter {delimiter!r}; choose another label_delimiter"
        if not is_utf8("".join(parts)):
            return f"label {NOT_UTF8}"
        labels = tuple(sorted(set(parts)))
        multilabel = self.task is Task.MULTILABEL
        if not labels and self.unlabelled == "skip":
            return labels
        if not labels and not (multilabel and self.unlabelled == "out_of_scope"):
            return (
                'label is empty; add one or, if no label applies, read the data with unlabelled = "out_of_scope" '
                '(multilabel only), or with "skip" to leave such rows out'
            )
        if multilabel or len(labels) == 1:
            return labels
        if self.joint:
            return ((delimiter or "+").join(labels),)
        return (
            f"has {len(labels)} labels ({', '.join(labels)}), but the task is multiclass; "
            "use the task multilabel, or joint = true to make each combination a label"
        )


def _kind(value: Any) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"


class Split:
    """One split: an iterable of examples that can be read repeatedly.

    ``len``, ``label_counts`` and ``fingerprint`` are computed together in one pass, when one is first needed.
    """

    def __init__(self, name: str, read: Callable[[], Iterable[Example]]) -> None:
        self.name = name
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
        """sha256 of texts and labels in order, independent of the file format and of the order of a row's labels."""
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
            digest.update("\x1f".join((example.text, *example.labels)).encode() + b"\x1e")
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
    """The examples of one file.

    Raises (on reading):
        RowInvalid: some rows cannot be used; the message lists the first few with file, row and remedy.
        DataError: the file is a directory or has no rows.
        DatasetNotFound: the file does not exist.
        LabelUnknown: a label is not among ``allowed``.
    """

    def read() -> Iterator[Example]:
        _require_file(path)
        problems: list[tuple[int, str]] = []
        found = bad = 0
        for row in read_rows(path, reading.layout):
            example = row if isinstance(row, BadRow) else reading.example(row)
            if example is None:
                continue
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
            raise RowInvalid(path, problems, "Correct the file and run the command again.", bad - len(problems))
        if not found:
            raise DataError(f"{path} has no rows; name a file with texts and labels")

    return Split(name, read)


def _check_labels(number: int, example: Example, allowed: LabelSet) -> Example | BadRow:
    for label in example.labels:
        if label not in allowed:
            hint = did_you_mean(label, allowed)
            return BadRow(number, f'label "{label}" is not in the label set.{hint}')
    return example


def _require_file(path: Path) -> None:
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
        splits: Mapping[str, str | os.PathLike[str]],
        *,
        name: str = "files",
        reading: Reading | None = None,
        labels: Iterable[str] | None = None,
    ) -> Dataset:
        """One file per split. If ``labels`` is given, other labels are an error; rows are checked when read."""
        reading = reading or Reading()
        allowed = None if labels is None else LabelSet(labels)
        parts = {key: file_split(key, Path(path), reading, allowed) for key, path in splits.items()}
        for path in splits.values():
            _require_file(Path(path))
        return cls(name, parts, reading.task, allowed)

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
            hint = did_you_mean(split, self.splits)
            raise SplitUnknown(f'dataset {self.name} has no split "{split}".{hint}') from None

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

    def with_validation(self, fraction: float, *, seed: int) -> Dataset:
        """Move a stratified ``fraction`` of ``train`` to a split called ``valid``.

        Raises:
            DataError: there already is a ``valid`` split, or ``fraction`` leaves one of the two splits empty.
        """
        if "valid" in self.splits:
            raise DataError(f"dataset {self.name} already has a valid split; use it instead of a share of train")
        train = self["train"]
        mask = stratified_mask(train.gold, fraction, seed=seed)
        if not 0 < int(mask.sum()) < len(mask):
            raise DataError(
                f"a validation share of {fraction} of {len(mask)} rows leaves a split empty; "
                "change the share or add rows"
            )
        parts = {**self.splits, "train": train.where(~mask, "train"), "valid": train.where(mask, "valid")}
        return replace(self, splits=parts, given_labels=self.labels)


def require_known(dataset: Dataset, split: str, labels: LabelSet) -> None:
    """Check that every label of ``split`` is in ``labels``.

    Raises:
        LabelUnknown: one is not. The validation split may not have labels that are not in train.
    """
    for label, count in sorted(dataset[split].label_counts.items()):
        if label not in labels:
            raise LabelUnknown(
                f'label "{label}" ({count} rows of split {split}) is not in the train split; '
                "add training rows with this label, or correct it"
            )
