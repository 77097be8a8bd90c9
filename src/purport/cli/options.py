"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..data.formats import Layout
    from ..data.reading import Reading

BundleName = Annotated[str, typer.Argument(help="Directory of a bundle, or a shipped name (atis).")]
DatasetName = Annotated[
    str, typer.Argument(help="sample, a catalog name, a directory with one file per split, or a file.")
]
Texts = Annotated[bool, typer.Option("--texts/--no-texts", help="Include message texts in the page.")]
TextColumn = Annotated[str, typer.Option(help="Name of the text column.")]
LabelColumn = Annotated[str, typer.Option(help="Name of the label column.")]
LabelDelimiter = Annotated[str, typer.Option(help="Separator between the labels of one row.")]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first row of a CSV or TSV file is a header. Default: if it contains the text column.",
    ),
]
TopK = Annotated[int, typer.Option(min=0, help="Number of most likely labels to show.")]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Minimum probability for a label; overrides the bundle's thresholds.")
]
Resamples = Annotated[int, typer.Option(min=1, help="Bootstrap samples for the 95 % intervals.")]
BootstrapSeed = Annotated[int, typer.Option(min=0, help="Random seed of the bootstrap.")]


def lenient_reading(text_column: str, label_column: str, label_delimiter: str, header: bool | None) -> Reading:
    """Read rows with any number of labels, including none: for inspecting data, not for training on it."""
    from ..data.formats import Layout
    from ..data.reading import Reading

    return Reading(layout=Layout(text_column, label_column, header, label_delimiter), unlabelled="out_of_scope")


def as_options(layout: Layout) -> list[str]:
    """The options that read a table with ``layout``; what is the default is left out."""
    from ..data.formats import Layout

    words = []
    for name in ("text_column", "label_column", "label_delimiter"):
        if (value := getattr(layout, name)) != getattr(Layout(), name):
            words += [f"--{name.replace('_', '-')}", value]
    if layout.header is not None:
        words.append("--header" if layout.header else "--no-header")
    return words
