"""``purport evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import BootstrapSeed, BundleName, Resamples, Texts
from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation
    from ..evaluation.robustness import Robustness
    from ..manifest import Manifest


@reads_table()
def evaluate(
    bundle: BundleName,
    split: Annotated[str, typer.Argument(help="A split of the bundle's dataset (for example test), or a file.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Dataset to use instead of the bundle's: catalog name, directory or file."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="JSON file to write the metrics to. Without it, none is written."),
    ] = None,
    resamples: Resamples = 1000,
    seed: BootstrapSeed = 0,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Directory for an HTML report: confusions, confidence, slices, robustness, worst errors. "
            "An earlier page there is replaced.",
        ),
    ] = None,
    robustness: Annotated[
        bool | None,
        typer.Option(
            "--robustness/--no-robustness",
            help="Ask up to 1,000 rows again with typing errors, in capitals, without punctuation, and with a "
            "greeting, thanks or an e-mail around them.  [default: with --report]",
        ),
    ] = None,
    texts: Texts = True,
    per_label: Annotated[
        bool, typer.Option("--per-label", help="Also print all metrics, and those of each label.")
    ] = False,
    *,
    table: TableOptions,
) -> None:
    """Evaluate a bundle on a split, with 95 % bootstrap intervals.

    Says first whether the answers are right as often as their confidence says, and how messages that are out of
    scope are treated. No row is dropped: a row whose label the model does not know counts as an error. Another
    table is read as it shows itself; what the bundle remembers of its training table decides what is open. A file is
    only written where --output or --report names one.

    Examples:

        purport evaluate atis test

        purport evaluate atis test --report reports/atis

        purport evaluate atis test --robustness

        purport evaluate bundles/mine new_week.csv --per-label --output new_week.json
    """
    from ..classifier import Classifier
    from ..evaluation.evaluate import evaluate as measure
    from ..evaluation.robustness import measure_robustness
    from ..evaluation.rows import evaluation_split, own_data, seen_before
    from ..files import require_parent, write_text
    from ..optional import needs
    from .console import metering, out, reporting

    if output is not None:
        require_parent(output)
    classifier = Classifier.open(bundle)
    with reporting() as reporter, metering(classifier):
        dataset, rows = evaluation_split(classifier.bundle, split, data, reporter, table.spec(name=""))
        rows = rows.held()
        if robustness is None:
            robustness = report is not None and not classifier.model.traits.remote
        robust = None
        if robustness:
            robust = measure_robustness(classifier, rows, resamples=resamples, seed=seed, reporter=reporter)
        if report is None:
            result = measure(classifier, rows, dataset=dataset, resamples=resamples, seed=seed, reporter=reporter)
        else:
            with needs("purport evaluate --report", "eval"):
                from ..evaluation.report import report_on
                from ..evaluation.report_page import page
            own = own_data(classifier.bundle, reporter)
            found = report_on(classifier, rows, dataset=dataset, own=own, resamples=resamples, seed=seed,
                              reporter=reporter).model_copy(update={"robustness": robust})  # fmt: skip
            result = found.evaluation
            page(found if texts else found.without_texts()).write(report)
    learned = 0 if split == "train" else seen_before(classifier.bundle, rows)[0]
    _print(result, classifier.bundle.manifest, learned, per_label=per_label)
    if robust is not None:
        _print_robustness(robust)
    if output is not None:
        write_text(output, _as_json(result, robust))
        out.print(f"written to {output}")
    if report is not None:
        out.print(f"written to {report / 'index.html'}")


def _print(result: Evaluation, manifest: Manifest, learned: int, *, per_label: bool) -> None:
    from rich.table import Table

    from ..evaluation.metric_table import MAIN, interval, metric_rows, number
    from ..evaluation.sentences import headline, notes, title, warnings_of
    from ..wording import count
    from .console import out

    out.print(f"{title(result)}: {count(result.n, 'row')}, {result.task}")
    if learned:
        rows = f"{count(learned, 'row')} of {result.n:,}"
        out.print(f"warning: {rows} were training rows of this bundle, which flatters it")
    for said in headline(result):
        out.print(said)
    metrics = Table("metric", "value", "95 % interval")
    found = list(metric_rows(result))
    shown = found if per_label else [row for row in found if row[0] in MAIN]
    for row in shown:
        metrics.add_row(*row)
    out.print(metrics)
    if left := len(found) - len(shown):
        out.print(f"{count(left, 'more metric')} with --per-label, in the --report, or as JSON with --output FILE")
    if per_label:
        labels = Table("label", "rows", "predicted", "precision", "recall", "f1", "95 % of f1")
        for name, label in sorted(result.labels.items(), key=lambda item: -item[1].support):
            values = (number(label.precision.value), number(label.recall.value), number(label.f1.value))
            labels.add_row(name, str(label.support), str(label.predicted), *values, interval(label.f1))
        out.print(labels)
    for said in notes(result):
        out.print(said)
    for said in warnings_of(manifest):
        out.print(f"warning: {said}")


def _print_robustness(robust: Robustness) -> None:
    from rich.table import Table

    from ..evaluation.metric_table import number
    from ..evaluation.robustness import CLEAN, drawn
    from ..wording import percent
    from .console import out

    title = f"the same, written otherwise: {drawn(robust.n, robust.rows)}"
    table = Table("text", "exact match", "change (95 % interval)", "changed", title=title)
    for each in robust.results:
        by = each.difference
        change = f"{number(by.value, 3)} ({number(by.low, 3)}, {number(by.high, 3)})"
        rest = () if each.name == CLEAN else (change, percent(each.changed.value))
        table.add_row(each.title, number(each.exact_match.value, 3), *rest)
    out.print(table)


def _as_json(result: Evaluation, robust: Robustness | None) -> str:
    document = result.model_dump(mode="json")
    if robust is not None:
        document["robustness"] = robust.model_dump(mode="json")
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
