"""``purport predict``."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import BundleName, Header, TextColumn, Threshold, TopK

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..data.formats import BadRow, Layout
    from ..prediction import AnswerOptions

_MOST_SHOWN = 20


def predict(
    bundle: BundleName,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.")] = None,
    source: Annotated[
        Path | None, typer.Option("--input", "-i", help="Classify each row of this CSV, TSV, JSONL or Parquet file.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the predictions. Its extension decides the format.")
    ] = None,
    text_column: TextColumn = "text",
    header: Header = None,
    top_k: TopK = 3,
    threshold: Threshold = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Include the probability of every label.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per text.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Classify texts, or every row of a file.

    Files are streamed. The output has the same rows in the same order, and appears only once it is complete.
    A row that cannot be classified keeps its place, with the reason in the column "error".

    Examples:

        purport predict atis "flights from boston to denver and the fares"

        purport predict atis --input questions.csv --output answers.jsonl --top-k 1
    """
    from ..classifier import Classifier
    from ..data.formats import Layout
    from ..errors import SettingsError
    from ..prediction import AnswerOptions

    if (source is None) != (target is None):
        raise SettingsError("--input needs --output and vice versa: pass the file to read and the file to write")
    if (source is None) == (not texts):
        raise SettingsError("pass either texts, or --input FILE --output FILE")
    classifier = Classifier.open(bundle, device=device)
    options = AnswerOptions(top_k, probabilities=probabilities, threshold=threshold)
    if source is not None and target is not None:
        _file(classifier, source, target, Layout(text_column, None, header), options)
    else:
        _texts(classifier, texts or [], options, as_json)


def _file(classifier: Classifier, source: Path, target: Path, layout: Layout, options: AnswerOptions) -> None:
    from ..predict_file import predict_file
    from .console import err, reporting

    shown = count(1)

    def on_bad(row: BadRow) -> None:
        if next(shown) <= _MOST_SHOWN:
            err.print(f"{source}:{row.number}: {row.problem}")

    with reporting() as reporter:
        tally = predict_file(
            classifier, source, target, layout=layout, options=options, on_bad=on_bad, reporter=reporter
        )
    bad = f"; bad rows: {len(tally.bad)}, see the column error" if tally.bad else ""
    err.print(f"{target}: rows classified: {tally.answered}{bad}")
    if tally.bad:
        raise typer.Exit(1)


def _texts(classifier: Classifier, texts: list[str], options: AnswerOptions, as_json: bool) -> None:
    from ..data.formats.text import is_utf8
    from ..errors import TextEmpty, TextInvalid
    from ..prediction import encode
    from ..wording import json_line
    from .console import out

    if not all(text.strip() for text in texts):
        raise TextEmpty
    if not all(is_utf8(text) for text in texts):
        raise TextInvalid("a text is not valid UTF-8; check the encoding of your terminal")
    for text, prediction in zip(texts, classifier.predict(texts, threshold=options.threshold), strict=True):
        if as_json:
            fields = {"text": text, **encode(prediction, options), "bundle": prediction.bundle}
            typer.echo(json_line(fields))
            continue
        out.print(text, style="bold")
        decided = ", ".join(prediction.labels) or "none (out of scope)"
        out.print(f"  decided: {decided}" + ("   (text was truncated)" if prediction.truncated else ""))
        for each in prediction.ranked if options.probabilities else prediction.top(options.top_k):
            out.print(f"  {each.confidence:.4f}  {each.label}")
