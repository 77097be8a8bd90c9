"""``purport init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .options import DatasetName
from .tables import TableOptions, reads_table

Kind = Annotated[str | None, typer.Option(help="linear, encoder or llm.  [default: what fits the data]")]


@reads_table()
def init(
    dataset: DatasetName,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Recipe to write.  [default: DATASET.toml]")
    ] = None,
    kind: Kind = None,
    joint: Annotated[
        bool, typer.Option("--joint", help="Make each combination of labels one label, so that the task is multiclass.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the recipe if there is one.")] = False,
    *,
    table: TableOptions,
) -> None:
    """Write a recipe that fits a dataset: task, columns, shares, kind and epochs. It can be trained as it is.

    Every row is read. A dataset of one split gives shares of its rows to validation and test, with near-duplicates on
    one side; rows without a label become "out of scope".

    Examples:

        purport init tickets.csv

        purport init tickets.csv --label-delimiter ";" --out-of-scope other --output tickets.toml
    """
    from ..data.survey import survey
    from ..errors import OutputExists
    from ..files import require_parent, write_text
    from ..training.draft import described, draft
    from ..training.recipe import parse_recipe
    from .console import out, reporting

    if output is not None:
        require_parent(output)
    with reporting() as reporter:
        spec, chosen = table.spec(name=dataset, joint=joint, unlabelled="out_of_scope"), table.unlabelled is not None
        found = survey(spec, reporter=reporter, unlabelled_is_chosen=chosen)
    made = draft(found, kind=kind, delimiter_is_chosen=table.label_delimiter is not None)
    parse_recipe(made.raw, dataset)  # a kind that is not there, or needs more than data
    target = output or Path(f"{found.dataset.name}.toml")
    if target.exists() and not overwrite:
        raise OutputExists(f"{target} already exists; pass --output to name another file, or --overwrite to replace it")
    for said in (*found.said, *described(made)):
        out.print(said)
    write_text(target, f"# Written by purport init from {dataset}. Every key: docs/reference/recipe.md.\n{made.toml}")
    out.print(f"written to {target}")
    out.print(f"next: purport train {shlex.quote(str(target))} --out bundles/{shlex.quote(found.dataset.name)}")
