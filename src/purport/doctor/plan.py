"""A fix plan: a table that a person reviews in an editor or a spreadsheet, and how it is applied.

Every line contains the current text and labels of its row, so that a plan made from other data is rejected.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ..data.dataset import Dataset
from ..data.formats import format_of
from ..data.formats.spreadsheet import escaped, unescaped
from ..data.reading import Example
from ..errors import OutputExists, PlanInvalid, did_you_mean
from ..files import replacing, write_text
from .finding import Action, Fix

COLUMNS = tuple(Fix.model_fields)
DONE = {"drop": "dropped", "relabel": "relabelled", "rewrite": "rewritten"}
"""Each action in the past tense, for messages."""
_YES, _NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0", "")


def write_plan(fixes: Iterable[Fix], path: Path) -> None:
    """Write ``fixes`` as CSV with a header. Labels are JSON lists, so that they may contain any delimiter."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for fix in fixes:
        labels, new_labels = (json.dumps(each, ensure_ascii=False) for each in (fix.labels, fix.new_labels))
        cells = {"apply": "yes" if fix.apply else "no", "labels": labels}
        row = fix.model_dump() | cells | {"new_labels": new_labels if fix.action == "relabel" else ""}
        writer.writerow(escaped(row))
    write_text(path, out.getvalue())


def read_plan(path: Path) -> list[Fix]:
    """The fixes in ``path``.

    Raises:
        PlanInvalid: it is not a plan, or a line cannot be used; the message names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise PlanInvalid(f"no fix plan {path}; create one with purport doctor DATASET --fix-plan {path}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise PlanInvalid(f"{path}: missing columns: {', '.join(missing)}; the header must be {','.join(COLUMNS)}")
    fixes = []
    for cells in reader:
        try:
            fixes.append(_fix(unescaped(cells)))
        except (ValueError, TypeError, AttributeError) as error:
            raise PlanInvalid(f"{path}:{reader.line_num}: {error}") from None
    return fixes


def _fix(cells: dict[str, str]) -> Fix:
    answer = cells["apply"].strip().lower()
    if answer not in (*_YES, *_NO):
        raise ValueError(f'apply must be yes or no, not "{cells["apply"]}"')
    action = cells["action"]
    if action not in get_args(Action):
        raise ValueError(f'unknown action "{action}".{did_you_mean(action, get_args(Action))}')
    read = {
        "apply": answer in _YES,
        "row": int(cells["row"]),
        "labels": _labels(cells["labels"]),
        "new_labels": _labels(cells["new_labels"] or "[]"),
    }
    fix = Fix.model_validate({column: cells[column] for column in COLUMNS} | read)
    if fix.action == "rewrite" and not fix.new_text.strip():
        raise ValueError("rewrite needs a new_text; to delete the row, use drop")
    return fix


def _labels(cell: str) -> tuple[str, ...]:
    found = json.loads(cell)
    if not isinstance(found, list) or not all(isinstance(label, str) and label for label in found):
        raise ValueError(f"labels must be a JSON list of names, not {cell}")
    return tuple(sorted(set(found)))


@dataclass(frozen=True)
class Applied:
    """What a plan changed: rows per action, the files written, and the number of fixes skipped (apply = no)."""

    actions: dict[str, int]
    files: tuple[Path, ...]
    refused: int


def apply_plan(
    dataset: Dataset, fixes: Iterable[Fix], out: Path, *, suffix: str = ".jsonl", label_delimiter: str = "+"
) -> Applied:
    """Write every split of ``dataset``, with the fixes whose ``apply`` is yes, to ``out/<split><suffix>``.

    Where a format has no lists, labels are joined by ``label_delimiter``, as they are in the source.

    Raises:
        PlanInvalid: a fix is for a row that does not exist, has changed or has two fixes, or a new label contains the
            delimiter.
        OutputExists: ``out`` exists and is not an empty directory.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExists(f"{out} already exists; choose a new directory for the corrected data")
    chosen: dict[tuple[str, int], Fix] = {}
    refused = 0
    for fix in fixes:
        if not fix.apply:
            refused += 1
        elif chosen.setdefault((fix.split, fix.row), fix) is not fix:
            raise PlanInvalid(f"{fix.split} row {fix.row} has two fixes with apply = yes; set one to no")
        elif any(label_delimiter in label for label in fix.new_labels if label_delimiter):
            raise PlanInvalid(
                f"{fix.split} row {fix.row}: one of the new labels {list(fix.new_labels)} contains the delimiter "
                f"{label_delimiter!r}; list each label separately"
            )
    actions: Counter[str] = Counter()
    corrected = {name: list(_corrected(dataset, name, chosen, actions)) for name in dataset.splits}
    if chosen:
        split, row = next(iter(chosen))
        raise PlanInvalid(f"{split} row {row} is not in dataset {dataset.name}; create the plan again from this data")
    with replacing(out) as partial:
        partial.mkdir()
        for name, examples in corrected.items():
            file = partial / f"{name}{suffix}"
            with format_of(file).write(file, ("text", "label"), label_delimiter=label_delimiter) as write:
                for example in examples:
                    write({"text": example.text, "label": list(example.labels)})
    return Applied(dict(actions), tuple(out / f"{name}{suffix}" for name in corrected), refused)


def _corrected(
    dataset: Dataset, name: str, chosen: dict[tuple[str, int], Fix], actions: Counter[str]
) -> Iterator[Example]:
    """The rows of one split after its fixes, which are removed from ``chosen`` and counted in ``actions``."""
    for number, example in enumerate(dataset[name], start=1):
        fix = chosen.pop((name, example.row or number), None)
        if fix is None:
            yield example
            continue
        if fix.text != example.text or fix.labels != example.labels:
            raise PlanInvalid(
                f"{name} row {fix.row} differs from the plan: the data has changed; create the plan again"
            )
        actions[fix.action] += 1
        if fix.action == "relabel":
            yield Example(example.text, fix.new_labels)
        elif fix.action == "rewrite":
            yield Example(fix.new_text, example.labels)
