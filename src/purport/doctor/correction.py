"""What the fixes of a plan make of the rows of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..data.dataset import Dataset, Split
from ..data.formats import BadRow
from ..data.names import renamed
from ..data.reading import Example
from ..errors import LabelUnknown, PlanInvalid, did_you_mean
from .finding import Fix
from .source import Source


class Correction:
    """Applies fixes to rows, and keeps account of what they did."""

    def __init__(self, fixes: Iterable[Fix]) -> None:
        self.actions: Counter[str] = Counter()
        self.changed: list[str] = []
        self.unusable: list[str] = []
        self._chosen: dict[tuple[str, int], Fix] = {}
        self._skipped: dict[tuple[str, int], list[Fix]] = {}
        self._names: dict[str, str] = {}
        self._before: dict[str, Counter[str]] = {}  # rows of each label and split; of the split itself under ""
        self._after: dict[str, Counter[str]] = {}
        for fix in fixes:
            place = (fix.split, fix.row)
            if not fix.apply:
                if fix.action != "merge":
                    self._skipped.setdefault(place, []).append(fix)
            elif fix.action == "merge":
                self._names[fix.labels[0]] = fix.new_labels[0]
            elif self._chosen.setdefault(place, fix) is not fix:
                raise PlanInvalid(f"{fix.split} row {fix.row} has two fixes with apply = yes; set one to no")
        self._wanted = dict(self._chosen)
        self._names = {name: self._last(name) for name in self._names}

    def _last(self, name: str) -> str:
        """What ``name`` is called after all merges."""
        seen = {name}
        while (name := self._names.get(name, name)) not in seen:
            seen.add(name)
        if name in self._names:
            raise PlanInvalid(f'the plan merges "{name}" into another label and that one back; set one to no')
        return name

    def rows(self, source: Source, split: str) -> Iterator[Example | BadRow]:
        """The rows of one split as they are to be written."""
        before, after = self._before.setdefault(split, Counter()), self._after.setdefault(split, Counter())
        for row in source.rows(source.dataset[split]):
            if isinstance(row, BadRow):
                self.unusable.append(f"{split} {row.number}")
                yield row
                continue
            before.update(("", *row.labels))
            fixed = self._fixed(split, row)
            if fixed is not None:
                after.update(("", *fixed.labels))
                yield row if fixed == row else _with_cells(fixed, row, source, source.dataset[split])

    def _fixed(self, split: str, example: Example) -> Example | None:
        place = (split, example.row)
        for skipped in self._skipped.pop(place, ()):
            if not _matches(skipped, example):
                self.changed.append(f"{split} {example.row}")
        fix = self._chosen.pop(place, None)
        text, labels = example.text, example.labels
        if fix is not None:
            if not _matches(fix, example):
                raise PlanInvalid(
                    f"{split} row {fix.row} differs from the plan: the data has changed; create the plan again"
                )
            self.actions[fix.action] += 1
            if fix.action == "drop":
                return None
            text, labels = (fix.new_text, labels) if fix.action == "rewrite" else (text, fix.new_labels)
        if not self._names.keys().isdisjoint(labels):
            self.actions["merge"] += 1
            labels = renamed(labels, self._names)
        return replace(example, text=text, labels=labels)

    def finish(self, dataset: Dataset) -> None:
        """Check that every fix found its row.

        Raises:
            PlanInvalid: one did not.
        """
        if self._chosen:
            split, row = next(iter(self._chosen))
            raise PlanInvalid(
                f"{split} row {row} is not in dataset {dataset.name}; create the plan again from this data"
            )
        self.changed += [f"{split} {row}" for split, row in self._skipped]

    def require_known_labels(self) -> None:
        """Check that no fix invents a label.

        Raises:
            LabelUnknown: one does.
        """
        known = {label for counts in self._before.values() for label in counts if label}
        new = {label for fix in self._wanted.values() for label in fix.new_labels} | set(self._names.values())
        for label in sorted(new - known):
            raise LabelUnknown(
                f'the plan gives the label "{label}", which no row of the data has.{did_you_mean(label, known)} '
                "Correct the plan, or pass --new-labels if it is meant"
            )

    def require_rows(self) -> None:
        """Check that no split and no label of a split loses its last row, except by a merge.

        Raises:
            PlanInvalid: one does.
        """
        for split, before in self._before.items():
            after = self._after[split]
            lost = sorted(name for name in before if not after[name] and name not in self._names)
            if before and not after[""]:
                raise PlanInvalid(
                    f"the plan drops all {before['']:,} rows of {split}; nothing is written. Set some of them to no, "
                    "or pass --allow-empty if it is meant"
                )
            if lost:
                named = ", ".join(f'"{name}" ({before[name]:,})' for name in lost[:5]) + ", …" * (len(lost) > 5)
                raise PlanInvalid(
                    f"the plan leaves no row of {split} with {named}; nothing is written. Set some of the fixes of "
                    "these rows to no, or pass --allow-empty if it is meant"
                )


def _matches(fix: Fix, example: Example) -> bool:
    """Whether the plan has the row as it is; line breaks and spaces may have changed in a spreadsheet."""
    return fix.text.split() == example.text.split() and fix.labels == example.labels


def _with_cells(fixed: Example, before: Example, source: Source, split: Split) -> Example:
    """``fixed`` with the cells of its row changed likewise."""
    if before.cells is None:
        return fixed
    cells, layout = {**before.cells}, source.layout(split)
    if fixed.text != before.text:
        cells[layout.text_column] = fixed.text
    column = layout.label_column
    if fixed.labels != before.labels and column is not None:
        cells[column] = label_cell(cells[column], fixed.labels, source, split, f"{split.name} row {fixed.row}")
    return replace(fixed, cells=cells)


def label_cell(old: Any, labels: tuple[str, ...], source: Source, split: Split, where: str) -> Any:
    """``labels`` in the form in which the cell ``old`` of the same column has some: names, a list, or numbers.

    No label is written as the name that the data has for it, if any.

    Raises:
        PlanInvalid: the column cannot hold them; ``where`` begins the message.
    """
    layout, none = source.layout(split), source.none(split)
    if not labels and none is not None:
        labels = (none,)
    if not _is_number(old):
        found = _names(old, labels, layout.label_delimiter, where)
        return found if isinstance(found, list) or len(labels) < 2 else source.joiner(split).join(labels)
    numbers = [source.number(split, label, layout.label_column or "label") for label in labels]
    if None in numbers:
        raise PlanInvalid(f"{where}: no number stands for the new label; add it to --label-names")
    if len(numbers) != 1 and not isinstance(old, list):
        raise PlanInvalid(f"{where}: the column of labels holds one number, not {len(numbers)}; use --format jsonl")
    return numbers if isinstance(old, list) else numbers[0]


def _is_number(cell: Any) -> bool:
    """Whether the labels in ``cell`` are numbers."""
    return (
        all(isinstance(part, int | float) for part in cell)
        if isinstance(cell, list) and cell
        else isinstance(cell, int | float)
    )


def _names(old: Any, labels: tuple[str, ...], delimiter: str, where: str) -> str | list[str]:
    """``labels`` in the form in which ``old`` has those of the row."""
    if wrong := [label for label in labels if delimiter and delimiter in label]:
        raise PlanInvalid(
            f'{where}: the label "{wrong[0]}" contains the delimiter {delimiter!r}; list each label separately'
        )
    if isinstance(old, list) or (old is None and len(labels) > 1):
        return list(labels)
    if len(labels) > 1 and not delimiter:
        raise PlanInvalid(f"{where} gets {len(labels)} labels; say what separates them with --label-delimiter")
    return delimiter.join(labels)
