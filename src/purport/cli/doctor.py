"""``purport doctor`` and ``purport doctor apply``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .options import DatasetName, Texts
from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..data.reading import Reading
    from ..doctor.apply import Applied
    from ..doctor.finding import Diagnosis, Fix

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
@reads_table(without=("unlabelled",))
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
        Path | None,
        typer.Option(
            "--output", "-o", help="Directory to write to; replaces an earlier page.  [default: doctor-DATASET]"
        ),
    ] = None,
    fix_plan: Annotated[Path | None, typer.Option("--fix-plan", help="CSV file for proposed fixes.")] = None,
    fail_on: Annotated[
        str, typer.Option(help="Lowest severity that makes the command exit with 1: error, warning or never.")
    ] = "error",
    texts: Texts = True,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of folds and samples.")] = 0,
    *,
    table: TableOptions,
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
    from ..errors import FlagInvalid
    from ..files import require_parent
    from ..optional import needs
    from ..progress import Progress
    from .console import out, reporting

    if fail_on not in _FAIL_ON:
        raise FlagInvalid(f'--fail-on must be error, warning or never, not "{fail_on}"')
    with needs("purport doctor", "eval"):
        from ..doctor.diagnose import diagnose, proposed
        from ..doctor.diagnosis_page import page
        from ..doctor.finding import count
        from ..doctor.plan import write_plan

    if fix_plan is not None:
        require_parent(fix_plan)
    name, reading = _reading(dataset, table)
    with reporting() as reporter:
        reporter.emit(Progress(f"reading {name}"))
        rows = RowTable.load(name, reading, reporter)
        classifier = None if bundle is None else Classifier.open(bundle)
        diagnosis = diagnose(
            rows, classifier=classifier, seed=seed, measure_plan=fix_plan is not None, reporter=reporter
        )
        shown = diagnosis if texts else diagnosis.without_texts()
        reporter.emit(Progress("writing the page"))
        options = [*table.words(), *(["--bundle", bundle] if bundle else []), "--seed", str(seed)]
        command = shlex.join(["purport", "doctor", dataset, *options])
        written = page(shown, command).write(output or Path(f"doctor-{rows.name}"))
    _print(diagnosis)
    if fix_plan is not None:
        fixes = proposed(diagnosis.findings)
        write_plan(fixes, fix_plan)
        yes = sum(fix.apply for fix in fixes)
        out.print(f"{count(len(fixes), 'fix', 'fixes')} written to {fix_plan}, {yes} with apply = yes")
        if fixes:
            out.print(f"review it, then run: {_next_command(fix_plan, dataset, rows.name, table)}", soft_wrap=True)
    elif proposed(diagnosis.findings):
        out.print("next: the same with --fix-plan fixes.csv, which proposes fixes for you to review")
    out.print(f"written to {written}")
    if diagnosis.worst in _FAIL_ON[fail_on]:
        out.print(f"exit code 1, as there is a finding of severity {diagnosis.worst} (--fail-on {fail_on})")
        raise typer.Exit(1)


def _reading(dataset: str, table: TableOptions) -> tuple[str, Reading]:
    """The name of the data, and rows with any number of labels, none too: to look at data, not to train on it."""
    from ..labels import Task

    spec = table.spec(name=dataset, unlabelled="out_of_scope")
    return spec.name, spec.reading(Task.MULTILABEL)


def _next_command(plan: Path, dataset: str, name: str, table: TableOptions) -> str:
    """The command that applies ``plan``, to be pasted into a shell in this directory."""
    output, number = Path(f"{name}-corrected"), 1
    while output.exists():
        number += 1
        output = Path(f"{name}-corrected-{number}")
    files = [f"./{word}" if word.startswith("-") else word for word in (str(plan), dataset)]
    return shlex.join(["purport", "doctor", "apply", *files, *table.words(), "--output", str(output)])


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
@reads_table(without=("unlabelled",))
def apply(
    plan: Annotated[Path, typer.Argument(help="Reviewed fix plan, as written by purport doctor --fix-plan.")],
    dataset: Annotated[str, typer.Argument(help="The dataset that the plan was made from.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New directory for the corrected splits.")],
    format_: Annotated[
        str | None, typer.Option("--format", help="jsonl, csv, tsv or parquet.  [default: that of each file]")
    ] = None,
    new_labels: Annotated[bool, typer.Option("--new-labels", help="Allow labels that no row has so far.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Allow that a split, or a label of a split, loses its last row.")
    ] = False,
    plan_encoding: Annotated[
        str | None, typer.Option(help="Encoding of the plan.  [default: UTF-8, or what the file certainly has]")
    ] = None,
    *,
    table: TableOptions,
) -> None:
    """Write a corrected copy of the dataset with the fixes whose `apply` is yes. The original stays unchanged.

    The copy has the same files with the same columns; only the fixed rows differ. If a fix does not match the data,
    nothing is written. The plan may have been saved by a spreadsheet: with semicolons or tabs, plain labels, other
    columns, or UTF-16.

    Examples:

        purport doctor apply fixes.csv ./tickets --output tickets-corrected

        purport doctor apply fixes.csv atis --output atis-corrected --format jsonl
    """
    from .. import registry
    from ..data.formats import Format
    from ..doctor.apply import apply_plan
    from ..doctor.plan import read_plan
    from ..doctor.source import Source
    from ..errors import FlagInvalid
    from .console import out, reporting

    suffix = None
    if format_ is not None:
        kind: Format = registry.load("formats", format_, FlagInvalid)
        suffix = kind.suffixes[0]
    name, reading = _reading(dataset, table)
    with reporting() as reporter:
        source = Source.load(name, reading, reporter)
    fixes = read_plan(plan, label_delimiter=reading.layout.label_delimiter, encoding=plan_encoding, in_data=source.has)
    none = set(reading.out_of_scope)  # a person who edits a plan writes the names that the data has
    fixes = [_without(fix, none) for fix in fixes]
    applied = apply_plan(source, fixes, output, suffix=suffix, new_labels=new_labels, allow_empty=allow_empty)
    _print_applied(applied)
    corrected = applied.files[0] if len(applied.files) == 1 else output
    words = ["doctor", str(corrected), *table.words()]
    if dataset.endswith(".toml"):  # a recipe, which says how the data are read
        words = ["train", dataset, "--set", f"data.name={corrected}", "--out", f"bundles/{Path(dataset).stem}"]
    out.print(f"next: {shlex.join(['purport', *words])}", soft_wrap=True)


def _without(fix: Fix, names: set[str]) -> Fix:
    """``fix`` without the names that mean that no label applies."""
    kept = {
        each: tuple(label for label in getattr(fix, each) if label not in names) for each in ("labels", "new_labels")
    }
    return fix if fix.action == "merge" else fix.model_copy(update=kept)


def _print_applied(applied: Applied) -> None:
    from ..doctor.apply import DONE
    from ..doctor.finding import count
    from .console import out

    done = ", ".join(f"{count(n, 'row')} {DONE[action]}" for action, n in applied.actions.items() if n)
    out.print(f"{done or 'no row changed'}; {count(applied.refused, 'fix', 'fixes')} skipped (apply = no)")
    for rows, said in (
        (applied.changed, "skipped, but not in the data as the plan has it"),
        (applied.unusable, "unusable, copied as it is"),
        (applied.left_out, "unusable and left out, because another format cannot hold it"),
    ):
        if rows:
            listed = ", ".join(rows[:5]) + (", …" if len(rows) > 5 else "")
            out.print(f"warning: {count(len(rows), 'row')} {said}: {listed}", soft_wrap=True)
    for file in applied.files:
        out.print(f"written to {file}", soft_wrap=True)
