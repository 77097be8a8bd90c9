"""``purport compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import BootstrapSeed, Resamples, Texts
from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..evaluation.comparison import Comparison, Difference

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
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            "--report",
            help="Directory to write the page to; an earlier page there is replaced. Without it, none is written.",
        ),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Also compare on up to 1,000 rows with typing errors, in capitals, without punctuation, and with a "
            "greeting, thanks or an e-mail around them. A gate that names one of these measures it anyway.",
        ),
    ] = False,
    texts: Texts = True,
    resamples: Resamples = 1000,
    seed: BootstrapSeed = 0,
    *,
    table: TableOptions,
) -> None:
    """Compare bundle B with bundle A on the same rows and decide whether B is better.

    McNemar's exact test of the changed rows decides; intervals are from a paired bootstrap. Prints the labels that
    changed most, with p corrected for the number of labels, and labels that only one of the two knows. With --output,
    a page shows metrics, labels, changed rows, size and speed.

    A gate is a condition on a difference B - A: f1_micro, f1_macro, precision_micro, recall_micro, exact_match,
    out_of_scope_precision, out_of_scope_recall or f1[LABEL]. Append .low or .high to use an end of its interval.

    label_f1 is the largest fall of any label's F1 that chance does not explain (p below 0.05, corrected for the
    number of labels), or 0: label_f1>=-0.1 fails if a label falls by more than 0.1, but not because a label with a
    few rows changed by chance. A label that B no longer knows counts as fallen to 0.

    Gates can also use the shares of changed rows (flips) and newly wrong rows (regressions), the numbers of labels
    that only A knows (lost_labels) or only B (new_labels), and mcnemar_p, size_ratio and latency_ratio.

    typo_1, typo_3, upper_case, no_punctuation, greeting, politeness and email are differences of the exact match on
    texts that are changed so: typo_3>=-0.02 fails if B gets over 2 points fewer texts with three typing errors right.

    Examples:

        purport compare atis bundles/new

        purport compare atis bundles/new --gate "f1_micro>=-0.002,label_f1>=-0.1,lost_labels<=0"

        purport compare atis bundles/new --gate "flips<=0.01,f1[airfare].low>=-0.02"

        purport compare atis bundles/new --gate "typo_1>=-0.01,email>=-0.02" --output reports/new

        purport compare bundles/old bundles/new --data this-week.csv
    """
    from ..classifier import Classifier
    from ..evaluation.rows import evaluation_split
    from ..optional import needs
    from .console import metering, out, reporting

    with needs("purport compare", "eval"):
        from ..evaluation.compare import compare as measure
        from ..evaluation.compare_page import page
        from ..evaluation.comparison import labels_said

    first, second = Classifier.open(a), Classifier.open(b)
    chosen = split or ("train" if data is not None and Path(data).is_file() else "test")
    with reporting() as reporter, metering(first, second):
        dataset, rows = evaluation_split(first.bundle, chosen, data, reporter, table.spec(name=""))
        found = measure(
            first, second, rows, dataset=dataset, gate=gate, robustness=robustness, resamples=resamples, seed=seed,
            reporter=reporter,
        )  # fmt: skip
    names = ", ".join(f"{side} = {ref} ({one.bundle})" for side, ref, one in (("A", a, found.a), ("B", b, found.b)))
    out.print(f"{f'{found.dataset} {found.split}'.strip()}: {names}")
    out.print(found.reason)
    _print_changes(found)
    for _, said in labels_said(found):
        out.print(said)
    for condition in found.gates:
        out.print(str(condition))
    if output is not None:
        out.print(f"written to {page(found if texts else found.without_texts()).write(output)}")
    if not found.passed:
        raise typer.Exit(1)


def _print_changes(found: Comparison) -> None:
    """The labels that changed most, and the changed texts."""
    from rich.table import Table

    from ..evaluation.metric_table import number
    from ..evaluation.robustness import drawn, title_of
    from .console import out

    def cells(change: Difference) -> tuple[str, str]:
        by = change.difference
        spread = f"{number(by.value, 3)} ({number(by.low, 3)}, {number(by.high, 3)})"
        return f"{number(change.a, 3)} → {number(change.b, 3)}", spread

    moved = found.most_changed(_MOST_LABELS)
    if moved:
        changes = Table("label", "rows", "F1 of A → B", "B - A (95 % interval)", "p", title="labels that changed most")
        changes.columns[0].overflow = "fold"  # a label is shown whole
        for name, change in moved:
            changes.add_row(name, f"{change.support:,}", *cells(change.f1), f"{change.p_value:.2g}")
        out.print(changes)
    if found.robustness is not None:
        title = f"the same, written otherwise: {drawn(found.robustness.n, found.robustness.rows)}"
        texts = Table("text", "exact match of A → B", "B - A (95 % interval)", title=title)
        for name, one in found.robustness.exact_match.items():
            texts.add_row(title_of(name), *cells(one))
        out.print(texts)
