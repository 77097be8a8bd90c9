"""``purport data``."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Header, LabelColumn, LabelDelimiter, TextColumn


def data(
    name: Annotated[
        str | None, typer.Argument(help="sample, a catalog name, a directory with one file per split, or a file.")
    ] = None,
    task: Annotated[str, typer.Option(help="multilabel or multiclass.")] = "multilabel",
    joint: Annotated[
        bool, typer.Option("--joint", help="multiclass only: treat each combination of labels as one label.")
    ] = False,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_delimiter: LabelDelimiter = "+",
    header: Header = None,
    unlabelled: Annotated[
        str, typer.Option(help="How to read rows without a label: as an error, as out_of_scope, or skip them.")
    ] = "error",
) -> None:
    """List the known datasets, or read one and summarise it. A missing catalog dataset is downloaded.

    Every row is checked. The first bad rows are listed with file, row number and how to fix them.

    Examples:

        purport data

        purport data sample --unlabelled out_of_scope

        purport data ./tickets
    """
    from rich.table import Table

    from ..data.catalog import catalog, load
    from ..data.formats import Layout
    from ..data.reading import Reading
    from ..errors import SettingsError
    from ..labels import Task
    from .console import out, reporting

    if name is None:
        listing = Table("name", "description", "rows", "licence")
        listing.add_row("sample", "customer support, ships with purport", "1,102", "Apache-2.0")
        for entry in catalog().values():
            rows = sum(split.rows for split in entry.splits.values())
            listing.add_row(entry.name, entry.title, f"{rows:,}", entry.licence)
        out.print(listing)
        return
    if task not in list(Task):
        raise SettingsError(f'--task must be multilabel or multiclass, not "{task}"')
    if unlabelled not in ("error", "out_of_scope", "skip"):
        raise SettingsError(f'--unlabelled must be error, out_of_scope or skip, not "{unlabelled}"')
    layout = Layout(text_column, label_column, header, label_delimiter)
    with reporting() as reporter:
        dataset = load(name, Reading(Task(task), layout, joint, unlabelled), reporter)
    table = Table("split", "rows", "labels", "several labels", "no label", "not in train", title=dataset.name)
    for split_name, split in dataset.splits.items():
        sizes = [len(labels) for labels in split.gold]
        several, none = sum(size > 1 for size in sizes), sum(size == 0 for size in sizes)
        unseen = ", ".join(f"{label} ({count})" for label, count in dataset.unseen(split_name).items()) or "–"
        table.add_row(split_name, f"{len(split):,}", str(len(split.label_counts)), str(several), str(none), unseen)
    out.print(table)
    out.print(f"fingerprint {dataset.fingerprint}")
