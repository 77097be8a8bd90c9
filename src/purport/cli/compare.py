"""``purport compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import BootstrapSeed, Resamples, Texts


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The bundle in use: a directory or a shipped name (atis).")],
    b: Annotated[str, typer.Argument(metavar="B", help="The candidate to replace it.")],
    data: Annotated[
        str | None, typer.Option("--data", help="Dataset to use instead of A's: catalog name, directory or file.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Split or file to compare on.  [default: test, or every row if --data is a file]"),
    ] = None,
    gate: Annotated[
        str,
        typer.Option(help='Conditions on B - A, e.g. "f1_micro>=-0.002,flips<=0.01". Exits with 1 if one fails.'),
    ] = "",
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory to write the page to.")] = Path("compare"),
    texts: Texts = True,
    resamples: Resamples = 1000,
    seed: BootstrapSeed = 0,
) -> None:
    """Compare bundle B with bundle A on the same rows and decide whether B is better.

    Uses a paired bootstrap and McNemar's test; the page shows metrics, labels, changed rows, size and speed.

    A gate is a condition on a difference B - A: f1_micro, f1_macro, precision_micro, recall_micro, exact_match
    or f1[LABEL]. Append .low or .high to use an end of its interval. Gates can also use the shares of changed
    rows (flips) and newly wrong rows (regressions), and mcnemar_p, size_ratio and latency_ratio.

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
        out.print(f"gate {condition.condition} {'passed' if condition.holds else 'failed'}: measured {value}")
    out.print(f"written to {written}")
    if not found.passed:
        raise typer.Exit(1)
