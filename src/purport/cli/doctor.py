"""``purport doctor`` and ``purport doctor apply``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .options import DatasetName, Header, LabelColumn, LabelDelimiter, TextColumn, Texts, as_options, lenient_reading

if TYPE_CHECKING:
    from ..doctor.finding import Diagnosis

_FAIL_ON = {"error": ("error",), "warning": ("error", "warning"), "never": ()}


class _ExamineByDefault(TyperGroup):
    """Makes ``purport doctor DATASET`` short for ``purport doctor examine DATASET``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help", "-h"):
            args = ["examine", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_ExamineByDefault, no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def doctor() -> None:
    """Find problems in a dataset, estimate what each one costs, and propose fixes.

    `purport doctor DATASET` is short for `purport doctor examine DATASET`. Write ./apply for a directory
    called "apply".

    Examples:

        purport doctor atis

        purport doctor ./tickets --bundle bundles/tickets --fix-plan fixes.csv

        purport doctor apply fixes.csv ./tickets --output tickets-corrected
    """


@app.command()
def examine(
    dataset: DatasetName,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle",
            help="Bundle that judges the evaluation rows and sets the length limit."
            "  [default: a linear model, and the limit of atis]",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory to write to.  [default: doctor-DATASET]")
    ] = None,
    fix_plan: Annotated[Path | None, typer.Option("--fix-plan", help="CSV file for proposed fixes.")] = None,
    fail_on: Annotated[
        str, typer.Option(help="Lowest severity that makes the command exit with 1: error, warning or never.")
    ] = "error",
    texts: Texts = True,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of folds and samples.")] = 0,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_delimiter: LabelDelimiter = "+",
    header: Header = None,
) -> None:
    """Check a dataset for leaks, conflicts, label errors, gaps, overlaps and damaged texts.

    Estimates the cost of each problem. Writes OUTPUT/index.html, facts.json and figures/. Exits with 1 if a
    finding is an error, so that it can run before training in CI.

    Examples:

        purport doctor atis

        purport doctor tickets.csv --label-delimiter ";" --fail-on warning

        purport doctor ./tickets --fix-plan fixes.csv
    """
    from ..classifier import Classifier
    from ..data.table import RowTable
    from ..errors import FlagInvalid, needs
    from ..progress import Progress
    from .console import out, reporting

    if fail_on not in _FAIL_ON:
        raise FlagInvalid(f'--fail-on must be error, warning or never, not "{fail_on}"')
    with needs("purport doctor", "eval"):
        from ..doctor.diagnose import diagnose, proposed
        from ..doctor.diagnosis_page import page
        from ..doctor.finding import count
        from ..doctor.plan import write_plan

    reading = lenient_reading(text_column, label_column, label_delimiter, header)
    with reporting() as reporter:
        reporter.emit(Progress(f"reading {dataset}"))
        table = RowTable.load(dataset, reading, reporter)
        classifier = None if bundle is None else Classifier.open(bundle)
        diagnosis = diagnose(
            table, classifier=classifier, seed=seed, measure_plan=fix_plan is not None, reporter=reporter
        )
        shown = diagnosis if texts else diagnosis.without_texts()
        reporter.emit(Progress("writing the page"))
        written = page(shown).write(output or Path(f"doctor-{table.name}"))
    _print(diagnosis)
    if fix_plan is not None:
        fixes = proposed(diagnosis.findings)
        write_plan(fixes, fix_plan)
        yes = sum(fix.apply for fix in fixes)
        out.print(f"{count(len(fixes), 'fix', 'fixes')} written to {fix_plan}, {yes} with apply = yes")
        command = ["purport", "doctor", "apply", str(fix_plan), dataset, *as_options(reading.layout)]
        out.print(f"review it, then run: {shlex.join(command)} --output DIRECTORY", soft_wrap=True)
    out.print(f"written to {written}")
    if diagnosis.worst in _FAIL_ON[fail_on]:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis) -> None:
    from rich.table import Table
    from rich.text import Text

    from .console import out

    if not diagnosis.findings:
        out.print("no problems found")
        return
    colours = {"error": "red", "warning": "yellow", "info": "blue"}
    table = Table("severity", "finding", "effect", title=diagnosis.dataset)
    for finding in diagnosis.findings:
        effect = "" if finding.worth is None else finding.worth.in_words
        table.add_row(Text(finding.severity, colours[finding.severity]), finding.title, effect)
    out.print(table)


@app.command()
def apply(
    plan: Annotated[Path, typer.Argument(help="Reviewed fix plan, as written by purport doctor --fix-plan.")],
    dataset: Annotated[str, typer.Argument(help="The dataset that the plan was made from.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New directory for the corrected splits.")],
    format_: Annotated[str, typer.Option("--format", help="jsonl, csv, tsv or parquet.")] = "jsonl",
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    label_delimiter: LabelDelimiter = "+",
    header: Header = None,
) -> None:
    """Write a corrected copy of the dataset with the fixes whose `apply` is yes. The original stays unchanged.

    If a row of the plan does not match the data, nothing is written.

    Examples:

        purport doctor apply fixes.csv ./tickets --output tickets-corrected

        purport doctor apply fixes.csv atis --output atis-corrected --format tsv
    """
    from .. import registry
    from ..data import catalog
    from ..data.formats import Format
    from ..doctor.finding import count
    from ..doctor.plan import DONE, apply_plan, read_plan
    from ..errors import FlagInvalid
    from .console import out, reporting

    kind: Format = registry.load("formats", format_, FlagInvalid)
    with reporting() as reporter:
        source = catalog.load(dataset, lenient_reading(text_column, label_column, label_delimiter, header), reporter)
    applied = apply_plan(source, read_plan(plan), output, suffix=kind.suffixes[0], label_delimiter=label_delimiter)
    done = ", ".join(f"{count(n, 'row')} {DONE[action]}" for action, n in applied.actions.items() if n)
    out.print(f"{done or 'no row changed'}; {count(applied.refused, 'fix', 'fixes')} skipped (apply = no)")
    for file in applied.files:
        out.print(f"written to {file}")
