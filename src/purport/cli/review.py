"""``purport review``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..progress import Reporter
    from ..ui.gathering import Given

_BATCH = 256


@reads_table(without=("unlabelled",))
def review(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET|QUEUE",
            help="A file of texts, a dataset (sample, a catalog name, a directory, a recipe), or a queue for --export.",
        ),
    ],
    bundle: Annotated[
        str | None, typer.Option("--with", help="Bundle that answers the texts: a directory, or a shipped name.")
    ] = None,
    other: Annotated[
        str | None, typer.Option("--and", help="Second bundle; texts that both decide otherwise are shown, too.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File for the queue; in the server's review_dir, its name ends in .db."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Write what was labelled in QUEUE to this CSV, TSV, JSONL or Parquet file."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option("--into", help="Your own table: --export is a copy of it with what was labelled in QUEUE."),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split of the dataset.  [default: all]")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Most texts of the queue.")] = 500,
    below: Annotated[
        float, typer.Option("--below", min=0, max=1, help="Confidence below which the bundle counts as unsure.")
    ] = 0.8,
    all_declined: Annotated[
        bool,
        typer.Option(
            "--all-declined", help="Show all texts that certainly no label applies to, not a few of each kind."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    *,
    table: TableOptions,
) -> None:
    """Choose the texts worth a look, for the review page of the web app; or export what was labelled there.

    A text is chosen if the bundle is unsure of it, finds no label, or disagrees with its label in the data or with a
    second bundle. Typical texts of rare labels come first, then the most uncertain ones; similar texts stand together.

    Examples:

        purport review tickets.csv --with bundles/tickets --out queues/tickets.db

        purport ui bundles/tickets --review-dir queues

        purport review queues/tickets.db --export reviewed.csv

        purport review queues/tickets.db --export tickets-new.csv --into tickets.csv
    """
    from ..errors import FlagInvalid

    if export is not None:
        if bundle is not None or other is not None or out is not None:
            raise FlagInvalid("--export writes what is labelled in a queue; leave out --with, --and and --out")
        _export(Path(dataset), export) if into is None else _merge(Path(dataset), into, export, table)
        return
    if into is not None:
        raise FlagInvalid("--into needs --export FILE: the new table to write")
    if bundle is None or out is None:
        raise FlagInvalid(
            "pass --with BUNDLE and --out QUEUE to make a queue, or --export FILE to take its labels away"
        )
    from ..ui.picking import Limits

    _make(dataset, (bundle, other), out, split, Limits(most, below, all_declined), device, table)


def _export(queue: Path, target: Path) -> None:
    from ..ui.gathering import export
    from ..ui.ledger import Ledger
    from ..wording import count
    from .console import out

    rows = export(Ledger(queue), target)
    out.print(f"{count(rows, 'labelled text')} written to {target}", soft_wrap=True)
    out.print("texts that no label fits have an empty label: train with --unlabelled out_of_scope", soft_wrap=True)


def _merge(queue: Path, table: Path, target: Path, options: TableOptions) -> None:
    from ..ui.gathering import hints_of, labelled
    from ..ui.merging import merge_for
    from ..wording import count
    from .console import err, out

    named = options.spec(name=str(table), unlabelled="out_of_scope")
    rows = labelled(queue, named.label_delimiter)
    made = merge_for(hints_of(queue), rows, table, named, target, lambda said: err.print(said, soft_wrap=True))
    none = f'; "{made.none}" is the label where none applies' if made.none else ""
    out.print(
        f"{target}: {table} with {count(made.added, 'new row')} and {count(made.corrected, 'corrected row')}; "
        f"{count(made.kept, 'text')} changed nothing{none}",
        soft_wrap=True,
    )


def _make(
    dataset: str, bundles: tuple[str, str | None], target: Path, split: str | None, chosen: Any, device: str,
    table: TableOptions,
) -> None:  # fmt: skip
    from ..errors import OutputExists
    from ..ui.gathering import LEFT_OUT, gather
    from ..wording import count
    from .console import out, reporting

    if target.exists():
        raise OutputExists(f"{target} already exists; choose a new file, so that no decisions are lost")
    with reporting() as reporter:
        said: list[str] = []
        given, bad = _given(dataset, bundles[0], split, table, reporter, said)
        (first, answers), *more = [_answers(name, given, device, reporter) for name in bundles if name is not None]
        ledger = gather(
            target, Path(dataset).name, given, answers, first, others=more[0] if more else None, chosen=chosen, bad=bad,
            said=said,
        )  # fmt: skip
    why = ", ".join(f"{number} {_WHY[reason]}" for reason, number in ledger.about["why"].items())
    unread = f"; rows that cannot be used: {bad}" if bad else ""
    out.print(f"{count(len(given), 'text')} read{unread}; to review: {why}", soft_wrap=True)
    for name, number in ledger.about["left"].items():
        hint = {"declined": "; --all-declined for all", "most": "; --most for a longer one"}.get(name, "")
        out.print(f"{count(number, 'text')} left out: {LEFT_OUT[name]}{hint}", soft_wrap=True)
    out.print(
        f"written to {target}; open it with: purport ui {bundles[0]} --review-dir {target.parent}", soft_wrap=True
    )


_WHY = {
    "label": "disputed labels",
    "bundles": "decided otherwise by both bundles",
    "out_of_scope": "without a label",
    "unsure": "unsure",
    "doubtful": "labelled before with low confidence",
}


def _given(
    dataset: str, bundle: str | None, split: str | None, table: TableOptions, reporter: Reporter, said: list[str]
) -> tuple[list[Given], int]:
    """The texts, read for ``bundle``, and the number of rows that cannot be used; ``said`` gets what the page says."""
    from dataclasses import replace

    from ..bundle import Bundle
    from ..data.catalog import load
    from ..data.hints import Hints
    from ..ui.gathering import Given, texts_of, used_of
    from .console import err

    assert bundle is not None, "checked by the caller"
    spec, hints, bad = table.spec(name=dataset, unlabelled="out_of_scope"), Hints.of(Bundle.open(bundle)), 0
    reading = hints.reading(spec, lambda said: err.print(said, soft_wrap=True), several=True, also=used_of)

    def note(split: str, row: object) -> None:
        nonlocal bad
        bad += 1

    if Path(spec.name).is_file():
        given, bad = texts_of(Path(spec.name), reading, say=said.append)
    else:
        rows = load(spec.name, replace(reading, on_bad_row=note), reporter)
        chosen = {split: rows[split]} if split else rows.splits
        given = [
            Given(each.text, each.labels, f"{name}, row {each.row}") for name, part in chosen.items() for each in part
        ]
    for warned in hints.warnings(label for each in given for label in each.labels or ()):
        err.print(f"warning: {warned}", soft_wrap=True)
    for each in said:
        err.print(each, soft_wrap=True)
    return given, bad


def _answers(name: str, given: Sequence[Given], device: str, reporter: Reporter) -> tuple[Bundle, list[dict[str, Any]]]:
    from ..classifier import Classifier
    from ..prediction import encode
    from ..progress import Progress
    from ..ui.gathering import options_for
    from .console import metering

    classifier = Classifier.open(name, device=device)
    options, found = options_for(classifier.bundle), []
    with metering(classifier):
        for start in range(0, len(given), _BATCH):
            texts = [each.text for each in given[start : start + _BATCH]]
            found += [encode(each, options) for each in classifier.predict(texts, examples=options.examples)]
            reporter.emit(Progress(f"classifying with {name}", len(found), len(given), "rows"))
    return classifier.bundle, found
