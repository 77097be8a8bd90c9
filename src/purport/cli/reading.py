"""Options that several commands share: how a table is read, and whether its texts may be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..data.dataset import Reading

DatasetName = Annotated[str, typer.Argument(help="sample, a catalog name, a directory of splits, or a file.")]
Texts = Annotated[bool, typer.Option("--texts/--no-texts", help="Whether utterances may stand in the page.")]
TextColumn = Annotated[str, typer.Option(help="Column of the texts.")]
LabelColumn = Annotated[str, typer.Option(help="Column of the labels.")]
LabelDelimiter = Annotated[str, typer.Option(help="Stands between the labels of one text.")]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether the first row of a CSV or TSV names the columns.")
]


def whole(text_column: str, label_column: str, label_delimiter: str, header: bool | None) -> Reading:
    """Any number of labels a row, none included: for looking at data, not for training on it."""
    from ..data.dataset import Reading
    from ..data.formats import Layout

    return Reading(layout=Layout(text_column, label_column, header, label_delimiter), unlabelled="out_of_scope")
