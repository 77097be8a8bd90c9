"""``purport explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import DatasetName, Texts
from .tables import TableOptions, reads_table


@reads_table()
def explore(
    dataset: DatasetName,
    bundle: Annotated[
        str | None, typer.Option("--bundle", help="Bundle whose tokenizer and length limit to use.  [default: atis]")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Directory to write to; replaces an earlier page.  [default: explore-DATASET]"
        ),
    ] = None,
    texts: Texts = True,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of samples and permutation tests.")] = 0,
    *,
    table: TableOptions,
) -> None:
    """Describe a dataset: labels, combinations, lengths, words, n-grams, near-duplicates and drift.

    Writes OUTPUT/index.html (self-contained), facts.json and figures/.

    Examples:

        purport explore atis

        purport explore ./tickets --bundle bundles/tickets --output reports/tickets
    """
    from ..classifier import Classifier
    from ..data.table import RowTable
    from ..labels import Task
    from ..optional import needs
    from ..progress import Progress
    from ..wording import count
    from .console import out, reporting

    with needs("purport explore", "eval"):
        from ..evaluation.explore.exploration_page import page
        from ..evaluation.explore.measure import explore as measure

    spec = table.spec(name=dataset, unlabelled="out_of_scope")
    with reporting() as reporter:
        reporter.emit(Progress(f"reading {dataset}"))
        rows = RowTable.load(spec.name, spec.reading(Task.MULTILABEL), reporter)
        classifier = None if bundle is None else Classifier.open(bundle)
        found = measure(rows, classifier=classifier, seed=seed, reporter=reporter)
        reporter.emit(Progress("writing the page"))
        written = page(found if texts else found.without_texts()).write(output or Path(f"explore-{rows.name}"))
    for split in found.splits:
        out.print(
            f"{split.name}: {count(split.rows, 'row')}, {count(len(split.labels), 'label')}, "
            f"{count(split.several_labels, 'row')} with several labels, {count(split.duplicate_texts, 'repeated text')}"
        )
    out.print(f"written to {written}")
