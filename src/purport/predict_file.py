"""Classifies every row of a file: streamed, in order, with bad rows reported; the output is complete or absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from .classifier import Classifier
from .data.formats import BadRow, Layout, Row, format_of, read_rows
from .data.formats.text import NOT_UTF8, is_utf8
from .errors import DataError, DatasetNotFound
from .files import replacing
from .prediction import AnswerOptions, Prediction, encode
from .progress import SILENT, Progress, Reporter

_BATCH = 512


def column_names(classifier: Classifier, options: AnswerOptions) -> list[str]:
    """``text``, ``labels``, ``error``, pairs ``label_1``, ``confidence_1``, …, and ``p(<label>)`` if requested."""
    ranks = range(1, min(options.top_k, len(classifier.labels)) + 1)
    top = [name for rank in ranks for name in (f"label_{rank}", f"confidence_{rank}")]
    every = [f"p({label})" for label in classifier.labels] if options.probabilities else []
    return ["text", "labels", "error", *top, *every]


def columns_of(text: str, prediction: Prediction, options: AnswerOptions) -> dict[str, Any]:
    """The output row for ``text``."""
    fields = encode(prediction, options)
    row: dict[str, Any] = {"text": text, "labels": fields["labels"]}
    for rank, intent in enumerate(fields["intents"], start=1):
        row |= {f"label_{rank}": intent["label"], f"confidence_{rank}": intent["confidence"]}
    return row | {f"p({label})": value for label, value in fields.get("probabilities", {}).items()}


@dataclass(frozen=True, slots=True)
class Tally:
    """The number of rows classified, and the bad rows."""

    answered: int
    bad: tuple[BadRow, ...]


def predict_file(
    classifier: Classifier,
    source: Path,
    target: Path,
    *,
    layout: Layout | None = None,
    options: AnswerOptions = AnswerOptions(),  # noqa: B008  (immutable)
    on_bad: Callable[[BadRow], None] | None = None,
    reporter: Reporter = SILENT,
) -> Tally:
    """Classify each row of ``source`` and write it to ``target``; the file names determine the formats.

    ``target`` has the rows of ``source``, in the same order. A bad row (malformed, or without a text) keeps its place,
    with the reason in the column ``error``; it is passed to ``on_bad``, and reading continues.

    Raises:
        DataError: ``source`` is not a file of a known format, or has no usable rows.
    """
    layout = layout or Layout(label_column=None)
    if source.is_dir():
        raise DataError(f"{source} is a directory; name a file in it")
    if not source.is_file():
        raise DatasetNotFound(f"no file {source}")
    if target.is_dir():
        raise DataError(f"{target} is a directory; name the file to write")
    writer = format_of(target)
    answered, bad = 0, []
    found = map(_check, read_rows(source, layout))
    with replacing(target) as partial, writer.write(partial, column_names(classifier, options)) as write:
        while rows := list(islice(found, _BATCH)):
            texts = [row.text for row in rows if isinstance(row, Row)]
            predictions = iter(classifier.predict(texts, threshold=options.threshold) if texts else [])
            for row in rows:
                if isinstance(row, Row):
                    write(columns_of(row.text, next(predictions), options))
                    continue
                write({"text": "", "labels": [], "error": f"row {row.number} {row.problem}"})
                bad.append(row)
                if on_bad:
                    on_bad(row)
            answered += len(texts)
            reporter.emit(Progress("classifying", answered + len(bad), None, "rows"))
        if not answered and not bad:
            raise DataError(f"{source} has no rows; name a file with texts")
        if not answered:
            raise DataError(f"{source}: no row can be classified; row {bad[0].number}: {bad[0].problem}")
    return Tally(answered, tuple(bad))


def _check(row: Row | BadRow) -> Row | BadRow:
    if isinstance(row, BadRow):
        return row
    if not (isinstance(row.text, str) and row.text.strip()):
        return BadRow(row.number, "has no text")
    return row if is_utf8(row.text) else BadRow(row.number, NOT_UTF8)
