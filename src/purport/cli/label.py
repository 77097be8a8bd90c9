"""``purport label``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Batch, DatasetName
from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..classifier import Classifier
    from ..data.formats import BadRow
    from ..data.reading import Example
    from ..labelling.labelled import Tally, Wanted

_MOST_SHOWN = 20


@reads_table(without=("label_column", "label_names", "out_of_scope", "unlabelled", "label_delimiter"))
def label(
    dataset: DatasetName,
    bundle: Annotated[str, typer.Option("--with", help="The bundle that labels: a directory, or a shipped name.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Table to write: CSV, TSV, JSONL or Parquet, by its extension.")
    ],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Label only so many different texts, the most typical ones.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Write rows of less confidence to the file --review.")
    ] = None,
    review: Annotated[Path | None, typer.Option(help="Table for the rows below --min-confidence.")] = None,
    split: Annotated[str, typer.Option(help="The split whose texts are labelled.")] = "train",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the order in which texts are asked.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the tables that are there.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the tables that are there.")] = False,
    batch: Batch = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    *,
    table: TableOptions,
) -> None:
    """Label texts with a bundle: a table with confidences, ready for `purport train`.

    Any bundle will do: a language model, a cascade, an encoder. The most typical texts come first, each different
    text is asked once, and labels that the dataset has are not read. The budget of the bundle holds. If it is spent,
    if you stop the command or a service fails, what was answered is in the table, and the same command with --resume
    asks the rest. Rows that you have corrected in the table stay as they are.

    Examples:

        purport label questions.csv --with bundles/llm --output labels.csv --limit 500

        purport label questions.csv --with bundles/llm --output labels.csv --resume

        purport label questions.csv --with bundles/llm -o labels.csv --min-confidence 0.7 --review doubtful.csv

        purport train labels.csv --out bundles/small --set data.confidence_column=confidence
    """
    from ..classifier import Classifier
    from ..errors import FlagInvalid, OutputExists
    from ..optional import needs
    from .console import metering, reporting

    if (review is None) != (min_confidence is None):
        raise FlagInvalid(
            "--review needs --min-confidence and vice versa: the file for doubtful rows, and which they are"
        )
    if resume and overwrite:
        raise FlagInvalid("--resume goes on with the tables and --overwrite begins again; pass one of them")
    if review is not None and review.absolute() == output.absolute():
        raise OutputExists(f"--review and --output are the same file, {output}; name another one")
    with needs("purport label", "train"):
        from ..labelling.labelled import Wanted
        from ..labelling.labelled import label as run
    classifier = Classifier.open(bundle, device=device)
    bad: list[BadRow] = []
    examples = _examples(classifier.bundle, dataset, split, table, bad)
    wanted = Wanted(output, review, min_confidence or 0.0, limit, seed, batch)
    with reporting() as reporter, metering(classifier):
        tally = run(classifier, examples, wanted, resume=resume, overwrite=overwrite, reporter=reporter)
    _report(classifier, wanted, tally)
    if bad:
        raise typer.Exit(1)


def _examples(bundle: Bundle, dataset: str, split: str, table: TableOptions, bad: list[BadRow]) -> list[Example]:
    """The texts of ``split``; rows that have none are shown, and left out."""
    from dataclasses import replace

    from ..data.catalog import load
    from ..data.hints import Hints
    from ..errors import DataError
    from .console import err

    def on_bad(_: str, row: BadRow) -> None:
        bad.append(row)
        if len(bad) <= _MOST_SHOWN:
            err.print(f"{dataset}:{row.number}: {row.problem}")

    spec = table.spec(name=dataset)
    reading = Hints.of(bundle).reading(spec, labels=False)
    reading = replace(reading, unlabelled="out_of_scope", on_bad_row=on_bad)
    examples = list(iter(load(spec.name, reading)[split]))
    if not examples:
        raise DataError(f"{dataset} has no row with a text; name a file with texts")
    return examples


def _report(classifier: Classifier, wanted: Wanted, tally: Tally) -> None:
    from .console import out
    from .costs import print_costs

    declined = f"{tally.out_of_scope:,} ({tally.out_of_scope / max(1, tally.labelled):.0%})"
    out.print(f"{wanted.target}: {tally.labelled:,} rows, of which {declined} out of scope (no label)")
    if wanted.review is not None:
        out.print(f"{wanted.review}: {tally.doubtful:,} rows of less confidence than {wanted.min_confidence:g}")
    if tally.earlier:
        out.print(f"labelled before: {tally.earlier:,} texts")
    if tally.unanswered:
        out.print(f"no usable reply: {tally.unanswered:,} texts, which are in no table; --resume asks them again")
    print_costs(tally.costs, tally.asked)
    if tally.out_of_scope == tally.labelled:
        out.print("no row has a label, so that there is nothing to train on; label with a bundle that knows such texts")
        return
    for said in _hints(classifier, wanted.target):
        out.print(said, soft_wrap=True)


def _hints(classifier: Classifier, labels: Path) -> Iterator[str]:
    """How to train on ``labels``: with the rows that people have labelled, if there are any."""
    import shlex

    from ..data.hints import Hints
    from ..labels import Task
    from ..predict_file import label_delimiter
    from .tables import typed

    spec = Hints.of(classifier.bundle).spec
    delimiter = spec.label_delimiter
    if classifier.task is Task.MULTILABEL:
        delimiter = label_delimiter(classifier)
    elif any(delimiter and delimiter in each for each in classifier.labels):
        delimiter = ""
    joined = ["--label-delimiter", delimiter] if delimiter != "+" else []
    task = ["--set", f"task={classifier.task}"]
    source = classifier.bundle.manifest.provenance.source
    own = next((each for each in (Path(spec.name), Path(source or "")) if each.is_file()), None)
    both = labels.with_name(f"both{_ending(own or labels)}")
    how = [*typed(spec, but="label_delimiter"), *joined]
    into = ["purport", "review", str(labels), "--into", str(own or "YOUR_TABLE"), "--export", str(both), *how]
    train = ["purport", "train", str(both), "--out", "bundles/both", *how, *task]
    yield f"train on your own labelled rows and these: {shlex.join(into)}"
    yield f"  then: {shlex.join(train)}"
    alone = ["purport", "train", str(labels), "--out", "bundles/labelled", *joined, *task]
    alone += ["--set", "data.confidence_column=confidence"]
    yield f"train on these alone, if you have no rows of your own: {shlex.join(alone)}"


def _ending(table: Path) -> str:
    """That of the name of ``table``, with the one before ``.gz``."""
    ends = table.suffixes
    return "".join(ends[-2:] if ends[-1:] == [".gz"] else ends[-1:])
