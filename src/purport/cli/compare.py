"""``purport compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import BootstrapSeed, Resamples, Texts


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The bundle in use: a directory, or a shipped name (atis).")],
    b: Annotated[str, typer.Argument(metavar="B", help="The bundle that may take its place.")],
    data: Annotated[
        str | None, typer.Option("--data", help="Another dataset than that of A: catalog name, directory, or file.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The split to compare on, or a file.  [default: test; train of a single file]")
    ] = None,
    gate: Annotated[
        str, typer.Option(help='Conditions on B - A, e.g. "f1_micro>=-0.002,flips<=0.01"; exit with 1 if one fails.')
    ] = "",
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the page.")] = Path("compare"),
    texts: Texts = True,
    resamples: Resamples = 1000,
    seed: BootstrapSeed = 0,
) -> None:
    """Say whether bundle B is better than A on the same rows: paired bootstrap, McNemar, labels, rows, speed.

    A gate names differences B - A: f1_micro, f1_macro, precision_micro, recall_micro, exact_match, f1[LABEL];
    each also with .low or .high for the end of its interval; shares of rows: flips, regressions; and
    mcnemar_p, size_ratio, latency_ratio.

    Examples:

        purport compare atis bundles/new

        purport compare atis bundles/new --gate "f1_micro>=-0.002,flips<=0.01,f1[airfare].low>=-0.02"

        purport compare bundles/old bundles/new --data this-week.csv
    """
    from ..classifier import Classifier
    from ..errors import needs
    from ..evaluation.rows import evaluation_split
    from .console import out, reporting

    with needs("purport compare", "eval"):
        from ..evaluation.compare import compare as measure
        from ..evaluation.compare_page import page

    first, second = Classifier.open(a), Classifier.open(b)
    chosen = split or ("train" if data is not None and Path(data).is_file() else "test")
    with reporting() as reporter:
        dataset, rows = evaluation_split(first.bundle, chosen, data, reporter)
        found = measure(
            first, second, rows, dataset=dataset, gate=gate, resamples=resamples, seed=seed, reporter=reporter
        )
    written = page(found if texts else found.without_texts()).write(output)
    out.print(found.reason)
    for condition in found.gates:
        value = "undefined" if condition.value is None else f"{condition.value:.6g}"
        out.print(f"gate {condition.condition} {'holds' if condition.holds else 'does not hold'}: {value}")
    out.print(f"written to {written}")
    if not found.passed:
        raise typer.Exit(1)
