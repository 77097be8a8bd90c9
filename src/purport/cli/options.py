"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..data.dataset import Reading

BundleName = Annotated[str, typer.Argument(help="Directory of a bundle, or the name of a shipped one (atis).")]
DatasetName = Annotated[str, typer.Argument(help="sample, a catalog name, a directory of splits, or a file.")]
Texts = Annotated[bool, typer.Option("--texts/--no-texts", help="Include message texts in the page.")]
TextColumn = Annotated[str, typer.Option(help="Column of the texts.")]
LabelColumn = Annotated[str, typer.Option(help="Column of the labels.")]
LabelDelimiter = Annotated[str, typer.Option(help="Stands between the labels of one text.")]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether the first row of a CSV or TSV names the columns.")
]
TopK = Annotated[int, typer.Option(min=0, help="Number of most likely labels to show.")]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Minimum probability for a label; overrides the bundle's thresholds.")
]
Resamples = Annotated[int, typer.Option(min=1, help="Bootstrap samples for the 95 % intervals.")]
BootstrapSeed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]


def whole(text_column: str, label_column: str, label_delimiter: str, header: bool | None) -> Reading:
    """Any number of labels a row, none included: for looking at data, not for training on it."""
    from ..data.dataset import Reading
    from ..data.formats import Layout

    return Reading(layout=Layout(text_column, label_column, header, label_delimiter), unlabelled="out_of_scope")
