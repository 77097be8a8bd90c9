"""``purport predict``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Batch, BundleName, Examples, Threshold, TopK
from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..data.formats import BadRow, Layout
    from ..prediction import AnswerOptions

_MOST_SHOWN = 20


@reads_table(without=("label_column", "label_names", "out_of_scope", "unlabelled", "label_delimiter"))
def predict(
    bundle: BundleName,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.")] = None,
    source: Annotated[
        Path | None, typer.Option("--input", "-i", help="Classify each row of this CSV, TSV, JSONL or Parquet file.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the predictions. Its extension decides the format.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="Format of --output -: csv, tsv, jsonl, json or parquet.")
    ] = "jsonl",
    top_k: TopK = 3,
    threshold: Threshold = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Include the probability of every label.")
    ] = False,
    examples: Examples = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per text.")] = False,
    batch: Batch = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    require_signature: Annotated[
        list[Path] | None, typer.Option(help="File with a public key that must have signed the bundle (purport sign).")
    ] = None,
    *,
    table: TableOptions,
) -> None:
    """Classify texts, or every row of a file.

    Files are streamed. The output has the same rows in the same order with all their columns, then the answer, and
    appears only once it is complete. A row that cannot be classified keeps its place, with the reason in the column
    "error", and the command then exits with 1. An empty row, such as a blank line, keeps its place and is said to be
    empty there, which is no error.
    "-" is standard input (a table, JSON Lines, or a text per line) or standard output.

    Examples:

        purport predict atis "flights from boston to denver and the fares"

        purport predict atis --input questions.csv --output answers.jsonl --top-k 1

        cat questions.txt | purport predict atis --input - --output - --format csv
    """
    from ..classifier import Classifier
    from ..data.hints import Hints
    from ..errors import FlagInvalid
    from ..predict_file import require_files
    from ..prediction import AnswerOptions
    from ..signature import PublicKeys

    if (source is None) != (target is None):
        raise FlagInvalid("--input needs --output and vice versa: pass the file to read and the file to write")
    if (source is None) == (not texts):
        raise FlagInvalid("pass either texts, or --input FILE --output FILE")
    if batch and source is None:
        raise FlagInvalid("--batch needs --input: a batch is for many texts, and takes up to a day")
    signed_by = PublicKeys.read(require_signature) if require_signature else None
    classifier = Classifier.open(bundle, device=device, signed_by=signed_by)
    options = AnswerOptions(top_k, probabilities=probabilities, threshold=threshold, examples=examples)
    if source is not None and target is not None:
        reading = Hints.of(classifier.bundle).reading(table.spec(name=""), labels=False)
        with standard(source, target, format_) as (given, made):
            require_files(given, made)
            layout = reading.of(given).layout
            _file(classifier, given, made, layout, options, shown=(source, target), batch=batch)
    else:
        _texts(classifier, texts or [], options, as_json)


@contextmanager
def standard(source: Path, target: Path, format_: str) -> Iterator[tuple[Path, Path]]:
    """Files in the place of ``-``: a copy of standard input, and what is then copied to standard output."""
    import shutil
    import sys
    import tempfile

    from .. import registry
    from ..errors import FormatUnknown

    suffix = registry.load("formats", format_, FormatUnknown).suffixes[0] if str(target) == "-" else ""
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        given, made = source, target
        if str(source) == "-":
            head = sys.stdin.buffer.read(1)
            # In a table without quoting, each line is a text unless the first one is a header.
            given = Path(work, "standard-input.jsonl" if head in (b"{", b"[") else "standard-input.tsv")
            with given.open("wb") as copy:
                copy.write(head)
                shutil.copyfileobj(sys.stdin.buffer, copy)
        if str(target) == "-":
            made = Path(work, f"standard-output{suffix}")
        try:
            yield given, made
        finally:
            # It is there if it is complete, also where a bad row makes the command end with 1.
            if str(target) == "-" and made.exists():
                with made.open("rb") as complete:
                    shutil.copyfileobj(complete, sys.stdout.buffer)
                sys.stdout.buffer.flush()


def _file(classifier: Classifier, source: Path, target: Path, layout: Layout, options: AnswerOptions, *,
          shown: tuple[Path, Path], batch: bool) -> None:  # fmt: skip
    from ..data.formats import understand
    from ..predict_file import predict_file, prefetch_file
    from .console import err, metering, reporting
    from .costs import print_costs

    told = count(1)

    def on_bad(row: BadRow) -> None:
        if next(told) <= _MOST_SHOWN:
            err.print(f"{shown[0]}:{row.number}: {row.problem}")

    found = understand(source, replace(layout, label_column=None))
    how = "; ".join([*found.notes, f'texts from "{found.layout.text_column}"'])
    err.print(f"{shown[0]}: {how if found.layout.header is not False else 'a text per line, no header'}")
    with reporting() as reporter, metering(classifier):
        if batch:
            prefetch_file(classifier, source, layout=layout, reporter=reporter)
        tally = predict_file(
            classifier, source, target, layout=layout, options=options, on_bad=on_bad, reporter=reporter
        )
    bad = f"; bad rows: {len(tally.bad)}, see the column error" if tally.bad else ""
    joined = f'; labels joined by "{tally.delimiter}"' if tally.delimiter != "+" else ""
    empty = f"; empty rows: {tally.empty}, which keep their places" if tally.empty else ""
    long = f"; longer than the model reads: {tally.truncated}" if tally.truncated else ""
    err.print(f"{shown[1]}: rows classified: {tally.answered}{joined}{empty}{long}{bad}")
    print_costs(tally.costs, tally.answered)
    if tally.bad:
        raise typer.Exit(1)


def _texts(classifier: Classifier, texts: list[str], options: AnswerOptions, as_json: bool) -> None:
    from ..data.formats.encoded import is_utf8
    from ..errors import TextEmpty, TextInvalid
    from ..prediction import encode, in_words
    from ..wording import json_line
    from .console import metering, out

    for number, text in enumerate(texts, start=1):
        which = f"text {number} of {len(texts)}" if len(texts) > 1 else "the text"
        if not text.strip():
            raise TextEmpty(f"{which} is empty; give it words or leave it out")
        if not is_utf8(text):
            raise TextInvalid(f"{which} is not valid UTF-8; check the encoding of your terminal")
    with metering(classifier):
        predictions = classifier.predict(texts, threshold=options.threshold, examples=options.examples)
    for text, prediction in zip(texts, predictions, strict=True):
        if as_json:
            fields = {"text": text, **encode(prediction, options), "bundle": prediction.bundle}
            typer.echo(json_line(fields))
            continue
        out.print(text, style="bold")
        decided = ", ".join(prediction.labels) or f"none (out of scope: {in_words(prediction.reason)})"
        out.print(f"  decided: {decided}" + ("   (text was truncated)" if prediction.truncated else ""))
        for each in prediction.ranked if options.probabilities else prediction.top(options.top_k):
            out.print(f"  {each.confidence:.4f}  {each.label}")
        for example in prediction.examples:
            out.print(f"  like {example}")
