"""``purport verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import BundleName
from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..evaluation.traffic import Traffic
    from ..progress import Reporter


@reads_table()
def verify(
    bundle: BundleName,
    split: Annotated[
        str, typer.Argument(metavar="DATA", help="A file of labelled rows, or a split of the bundle's dataset.")
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Dataset to use instead of the bundle's: catalog name, directory or file."),
    ] = None,
    traffic: Annotated[
        Path | None,
        typer.Option("--traffic", help="File of unlabelled messages: estimate how many of them are out of scope."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file to write what was found to.")] = None,
    *,
    table: TableOptions,
) -> None:
    """Check on new rows what a bundle promises (decide.promise in its recipe). Nothing is fitted.

    Each promise is held, broken, or there are too few rows to tell. It is broken if the exact 95 % interval of what is
    observed excludes it; then the command exits with 1. Also says whether the acceptance scores of these rows differ
    from those of the calibration rows, and whether more messages are out of scope than the promise is made for.

    Examples:

        purport verify bundles/support new_week.csv

        purport verify bundles/support test --traffic all_of_may.txt
    """
    from ..classifier import Classifier
    from ..evaluation.rows import evaluation_split, seen_before
    from ..evaluation.verification import promise_of, verification_lines
    from ..evaluation.verification import verify as check
    from ..files import require_parent, write_text
    from ..wording import count
    from .console import metering, out, reporting

    if output is not None:
        require_parent(output)
    classifier = Classifier.open(bundle)
    promise_of(classifier.bundle)
    with reporting() as reporter, metering(classifier):
        dataset, rows = evaluation_split(classifier.bundle, split, data, reporter, table.spec(name=""))
        rows = rows.held()
        learned, seen = seen_before(classifier.bundle, rows)
        estimated = None if traffic is None else _traffic(classifier, traffic, table, reporter)
        found = check(classifier, rows, dataset=dataset, seen=seen, traffic=estimated, reporter=reporter)
    out.print(f"{f'{dataset} {rows.name}'.strip()}: {count(found.n, 'row')}")
    for number, what in ((learned, "training"), (seen, "calibration")):
        if number:
            out.print(f"warning: of these, {count(number, f'{what} row')} of this bundle, which say nothing new")
    for said in verification_lines(found):
        out.print(said)
    if output is not None:
        write_text(output, found.model_dump_json(indent=1) + "\n")
        out.print(f"written to {output}")
    if found.broken:
        raise typer.Exit(1)


def _traffic(classifier: Classifier, path: Path, table: TableOptions, reporter: Reporter) -> Traffic:
    from ..evaluation.rows import learned_texts, texts_of
    from ..evaluation.verification import score_traffic
    from ..wording import count
    from .console import err

    texts, bad = texts_of(classifier.bundle, path, table.spec(name=""))
    if bad:
        err.print(f"{path}: {count(bad, 'row')} without a usable text left out")
    if known := learned_texts(classifier.bundle, texts):
        err.print(
            f"warning: in {path}, {count(known, 'training text')} of this bundle, which score higher than new "
            "messages; leave them out"
        )
    return score_traffic(classifier, texts, path.name, reporter)
