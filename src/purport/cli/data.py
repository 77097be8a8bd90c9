"""``purport data``."""

from __future__ import annotations

import shlex
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..data.dataset import Dataset
    from ..data.survey import Survey


@reads_table()
def data(
    name: Annotated[
        str | None,
        typer.Argument(help="sample, a catalog name, a directory with one file per split, a file, or a recipe."),
    ] = None,
    *,
    task: Annotated[
        str | None, typer.Option(help="multilabel or multiclass.  [default: what the labels of the rows say]")
    ] = None,
    joint: Annotated[
        bool, typer.Option("--joint", help="multiclass only: treat each combination of labels as one label.")
    ] = False,
    table: TableOptions,
) -> None:
    """List the known datasets, or read one: how its files are read, its rows, and what is suspicious.

    Every row is checked. Rows with neither a text nor a label are left out and counted. Every bad row is listed with
    its number and how to fix it; then the command exits with 65. A missing catalog dataset is downloaded.

    Examples:

        purport data

        purport data tickets.csv --label-delimiter ";"

        purport data ./tickets --unlabelled out_of_scope --out-of-scope other
    """
    from ..data.survey import survey
    from ..errors import FlagInvalid
    from ..labels import Task
    from .console import err, out, reporting

    if name is None:
        _list()
        return
    if task not in (None, *Task):
        raise FlagInvalid(f'--task must be multilabel or multiclass, not "{task}"')
    with reporting() as reporter:
        found = survey(
            table.spec(name=name, joint=joint, unlabelled="out_of_scope"),
            None if task is None else Task(task),
            reporter,
            unlabelled_is_chosen=table.unlabelled is not None,
        )
    for file in found.files:
        out.print(file.in_words)
    for row in found.shown:
        out.print(f"  row {row.row}: {row.text!r} → {', '.join(row.labels) or 'no label'}")
    for said in found.left_out:
        out.print(said)
    for problem in found.problems:
        err.print(problem)
    if found.problems:
        raise typer.Exit(65)
    _print(found, [*table.words(), *["--joint"] * joint])


def _list() -> None:
    from rich.table import Table

    from ..data.catalog import catalog
    from .console import out

    listing = Table("name", "description", "rows", "licence")
    listing.add_row("sample", "customer support, ships with purport", "1,102", "Apache-2.0")
    for entry in catalog().values():
        rows = sum(split.rows for split in entry.splits.values())
        listing.add_row(entry.name, entry.title, f"{rows:,}", entry.licence)
    out.print(listing)


def _print(found: Survey, options: list[str]) -> None:
    from rich.table import Table

    from .console import out

    dataset: Dataset = found.dataset
    table = Table("split", "rows", "labels", "several labels", "no label", "not in train", title=dataset.name)
    for name, split in dataset.splits.items():
        sizes = [len(labels) for labels in split.gold]
        several, none = sum(size > 1 for size in sizes), sum(size == 0 for size in sizes)
        unseen = ", ".join(f"{label} ({count})" for label, count in dataset.unseen(name).items()) or "–"
        table.add_row(name, f"{len(split):,}", str(len(split.label_counts)), str(several), str(none), unseen)
    out.print(table)
    for said in found.suspicions:
        out.print(f"warning: {said}")
    if labels := found.frequencies:
        out.print(labels)
    out.print(f"fingerprint {dataset.fingerprint}")
    out.print(f"task: {found.task} ({found.why})")
    advised = [words for words in found.advised if words[0] not in options or words[0] == "--out-of-scope"]
    command = ["purport", "init", found.spec.name, *options, *chain(*advised)]
    out.print(f"next: {shlex.join(command)}")
    if advised:
        named = " and ".join(dict.fromkeys(words[0] for words in advised))
        out.print(f"  with {named} as the warnings advise; leave out what does not hold for this table")
