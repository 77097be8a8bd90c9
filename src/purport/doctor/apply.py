"""Applies a fix plan: writes a corrected copy of a dataset in which only the fixed rows differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from ..data.dataset import Dataset, Split
from ..data.formats import BadRow, Format, format_of
from ..data.reading import Example, Reading
from ..errors import OutputExists, PlanInvalid
from ..files import replacing
from .correction import Correction
from .finding import Fix
from .source import Source

DONE = {"drop": "dropped", "relabel": "relabelled", "rewrite": "rewritten", "merge": "with a renamed label"}
"""Each action in the past tense, for messages."""


@dataclass(frozen=True)
class Applied:
    """What a plan changed: rows per action, the files written, the number of fixes skipped (apply = no).

    ``changed`` are skipped fixes for rows that are not in the data as the plan has them; ``unusable`` are rows that
    could not be read and were kept as they are, ``left_out`` those that another format cannot hold. Each is given as
    "split row".
    """

    actions: dict[str, int]
    files: tuple[Path, ...]
    refused: int
    changed: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def apply_plan(
    source: Source | Dataset,
    fixes: Sequence[Fix],
    out: Path,
    *,
    suffix: str | None = None,
    new_labels: bool = False,
    allow_empty: bool = False,
) -> Applied:
    """Write every split of ``source`` to ``out``, with the fixes whose ``apply`` is yes.

    Other columns stay, and files keep their names and formats, unless ``suffix`` (such as ``.csv``) says another one.

    Raises:
        PlanInvalid: a fix is for a row that does not exist, has changed or has two fixes, or a new label contains the
            delimiter; or a split or label would have no row left, unless ``allow_empty``.
        LabelUnknown: a new label is not in the data, unless ``new_labels``.
        OutputExists: ``out`` exists and is not an empty directory.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputExists(f"{out} already exists; choose a new directory for the corrected data")
    if isinstance(source, Dataset):
        source = Source(source)
    _require_whole(source.dataset, suffix)
    correction = Correction(fixes)
    splits = {name: list(correction.rows(source, name)) for name in source.dataset.splits}
    correction.finish(source.dataset)
    if not new_labels:
        correction.require_known_labels()
    if not allow_empty:
        correction.require_rows()
    with replacing(out) as partial:
        partial.mkdir()
        files, left_out = [], []
        for name, rows in splits.items():
            split = source.dataset[name]
            target = partial / _file_name(split, suffix)
            try:
                left_out += [f"{name} {row.number}" for row in write_rows(rows, source, split, target)]
            except UnicodeEncodeError as error:
                raise PlanInvalid(
                    f"{target.name} cannot hold {error.object[error.start]!r} in its encoding ({error.encoding}); "
                    "save the data as UTF-8 first, or choose another --format"
                ) from None
            require_same(rows, source, split, target)
            files.append(out / target.name)
    unusable = [where for where in correction.unusable if where not in left_out]
    changed = sorted(correction.changed)
    actions, refused = dict(correction.actions), sum(not fix.apply for fix in fixes)
    return Applied(actions, tuple(files), refused, tuple(changed), tuple(unusable), tuple(left_out))


def _require_whole(dataset: Dataset, suffix: str | None) -> None:
    for split in dataset.splits.values() if suffix is None else ():
        for file in split.files:
            if getattr(format_of(file), "keeps_rows_only", False):
                raise PlanInvalid(
                    f"{file} has more than rows (entities, synonyms), which a copy would lose; edit it by hand, "
                    "or pass --format jsonl for a table of its texts and labels"
                )


def _file_name(split: Split, suffix: str | None) -> str:
    """The name of the file to write: that of the source, unless it has several files or another format is wanted."""
    if not split.files:
        return f"{split.name}{suffix or '.jsonl'}"
    first = split.files[0]
    suffixes = "".join(first.suffixes[-2:]) if first.suffix == ".gz" else first.suffix
    if suffix is not None and format_of(Path(f"_{suffix}")) is not format_of(first):
        suffixes, suffix = suffix, suffixes
        return f"{first.name.removesuffix(suffix) if len(split.files) == 1 else split.name}{suffixes}"
    return first.name if len(split.files) == 1 else f"{split.name}{suffixes}"


def _keeps_format(split: Split, target: Path) -> bool:
    columns_known = split.reading is not None and split.reading.layout.keep_columns
    return columns_known and format_of(target) is format_of(split.files[0])


def write_rows(rows: Sequence[Example | BadRow], source: Source, split: Split, target: Path) -> list[BadRow]:
    """Write ``rows`` to ``target``, and return those that its format cannot hold."""
    layout, kept = source.layout(split), _keeps_format(split, target)
    like = {"like": (split.files[0], layout)} if kept else {}
    own = (layout.text_column, layout.label_column or "label")
    columns = list({name: None for row in rows for name in row.cells or ()}) or list(own)
    left_out = []
    file: Format = format_of(target)
    with file.write(target, columns, label_delimiter=layout.label_delimiter, **like) as write:
        for row in rows:
            if isinstance(row, Example):
                named = dict(zip(own, (row.text, list(row.labels)), strict=True))
                # Numbers mean labels only where their names are known: elsewhere the names are written.
                write(
                    row.cells
                    if row.cells and (kept or isinstance(row.cells[own[1]], str))
                    else {**(row.cells or {}), **named}
                )
            elif row.cells:
                write(row.cells)
            elif not kept:
                left_out.append(row)
            elif row.raw is not None:
                write(row.raw)
            else:
                raise PlanInvalid(f"{split.name} row {row.number} {row.problem}; correct the file first")
    return left_out


def require_same(rows: Sequence[Example | BadRow], source: Source, split: Split, target: Path) -> None:
    """Check that ``target`` is read as what was written.

    Raises:
        PlanInvalid: a row is not.
    """
    layout = source.layout(split)
    if not _keeps_format(split, target):
        layout = replace(layout, header=None, delimiter=None, encoding=None)
    reading = replace(split.reading or Reading(unlabelled="out_of_scope"), layout=layout, on_bad_row=lambda *_: None)
    again = Dataset.from_files({split.name: target}, reading=reading)[split.name]
    for row, found in zip_longest((row for row in rows if isinstance(row, Example)), again):
        if row != found:
            number = row.row if row else "after the last"
            raise PlanInvalid(
                f"{split.name} row {number} would be read differently from {target.name}: its text or labels cannot be "
                "written so; choose another --format (jsonl keeps everything)"
            )
