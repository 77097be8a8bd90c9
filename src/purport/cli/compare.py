"""``purport compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import BootstrapSeed, Resamples, Texts
from .tables import TableOptions, reads_table

_MOST_LABELS = 8


@reads_table()
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
    *,
    table: TableOptions,
) -> None:
    """Compare bundle B with bundle A on the same rows and decide whether B is better.

    McNemar's exact test of the changed rows decides; intervals are from a paired bootstrap. Prints the labels that
    changed most, with p corrected for the number of labels, and labels that only one of the two knows. The page shows
    metrics, labels, changed rows, size and speed.

    A gate is a condition on a difference B - A: f1_micro, f1_macro, precision_micro, recall_micro, exact_match,
    out_of_scope_precision, out_of_scope_recall or f1[LABEL]. Append .low or .high to use an end of its interval.

    label_f1 is the largest fall of any label's F1 that chance does not explain (p below 0.05, corrected for the
    number of labels), or 0: label_f1>=-0.1 fails if a label falls by more than 0.1, but not because a label with a
    few rows changed by chance. A label that B no longer knows counts as fallen to 0.

    Gates can also use the shares of changed rows (flips) and newly wrong rows (regressions), the numbers of labels
    that only A knows (lost_labels) or only B (new_labels), and mcnemar_p, size_ratio and latency_ratio.

    Examples:

        purport compare atis bundles/new

        purport compare atis bundles/new --gate "f1_micro>=-0.002,label_f1>=-0.1,lost_labels<=0"

        purport compare atis bundles/new --gate "flips<=0.01,f1[airfare].low>=-0.02"

        purport compare bundles/old bundles/new --data this-week.csv
    """
    from rich.table import Table

    from ..classifier import Classifier
    from ..errors import needs
    from ..evaluation.metric_table import number
    from ..evaluation.rows import evaluation_split
    from .console import out, reporting

    with needs("purport compare", "eval"):
        from ..evaluation.compare import compare as measure
        from ..evaluation.compare_page import page
        from ..evaluation.comparison import labels_said

    first, second = Classifier.open(a), Classifier.open(b)
    chosen = split or ("train" if data is not None and Path(data).is_file() else "test")
    with reporting() as reporter:
        dataset, rows = evaluation_split(first.bundle, chosen, data, reporter, table.spec)
        found = measure(
            first, second, rows, dataset=dataset, gate=gate, resamples=resamples, seed=seed, reporter=reporter
        )
    written = page(found if texts else found.without_texts()).write(output)
    names = ", ".join(f"{side} = {ref} ({one.bundle})" for side, ref, one in (("A", a, found.a), ("B", b, found.b)))
    out.print(f"{f'{found.dataset} {found.split}'.strip()}: {names}")
    out.print(found.reason)
    moved = found.most_changed(_MOST_LABELS)
    if moved:
        changes = Table("label", "rows", "F1 of A → B", "B - A (95 % interval)", "p", title="labels that changed most")
        changes.columns[0].overflow = "fold"  # a label is shown whole
        for name, change in moved:
            moves, by = f"{number(change.f1.a, 3)} → {number(change.f1.b, 3)}", change.f1.difference
            spread = f"{number(by.value, 3)} ({number(by.low, 3)}, {number(by.high, 3)})"
            changes.add_row(name, f"{change.support:,}", moves, spread, f"{change.p_value:.2g}")
        out.print(changes)
    for _, said in labels_said(found):
        out.print(said)
    for condition in found.gates:
        out.print(str(condition))
    out.print(f"written to {written}")
    if not found.passed:
        raise typer.Exit(1)
