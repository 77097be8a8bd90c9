"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

BundleName = Annotated[str, typer.Argument(help="Directory of a bundle, or a shipped name (atis).")]
DatasetName = Annotated[
    str, typer.Argument(help="sample, a catalog name, a directory with one file per split, a file, or a recipe.")
]
Texts = Annotated[bool, typer.Option("--texts/--no-texts", help="Include message texts in the page.")]
TextColumn = Annotated[str, typer.Option(help="Name of the text column.")]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first row of a CSV or TSV file is a header. Default: if it contains the text column.",
    ),
]
TopK = Annotated[int, typer.Option(min=0, help="Number of most likely labels to show.")]
Examples = Annotated[
    int, typer.Option("--examples", min=0, max=10, help="Number of most similar training examples to show.")
]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Minimum probability for a label; overrides the bundle's thresholds.")
]
Batch = Annotated[
    bool, typer.Option("--batch", help="Ask in a batch of the bundle's service: cheaper, but it may take a day.")
]
Resamples = Annotated[int, typer.Option(min=1, help="Bootstrap samples for the 95 % intervals.")]
BootstrapSeed = Annotated[int, typer.Option(min=0, help="Random seed of bootstrap and perturbed texts.")]
