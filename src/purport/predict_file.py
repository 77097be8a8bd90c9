"""Answering every row of a file: streamed, in order, bad rows reported, the output complete or absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .classifier import Classifier
from .data.formats import BadRow, Layout, Row, format_of, read_rows
from .data.formats.text import NOT_UTF8, is_utf8
from .errors import DataError, DatasetNotFound
from .files import replacing
from .prediction import Prediction

_BATCH = 512


@dataclass(frozen=True, slots=True)
class Columns:
    """What is written for each row, besides the text and the decided labels.

    Attributes:
        top_k: so many pairs ``label_1, confidence_1, …``.
        probabilities: a column ``p(<label>)`` for every label.
    """

    top_k: int = 3
    probabilities: bool = False

    def names(self, classifier: Classifier) -> list[str]:
        """The names of all columns."""
        ranks = range(1, min(self.top_k, len(classifier.labels)) + 1)
        top = [name for rank in ranks for name in (f"label_{rank}", f"confidence_{rank}")]
        every = [f"p({label})" for label in classifier.labels] if self.probabilities else []
        return ["text", "labels", "error", *top, *every]

    def values(self, text: str, prediction: Prediction) -> dict[str, Any]:
        """The row that is written for ``text``."""
        row: dict[str, Any] = {"text": text, "labels": list(prediction.labels)}
        for rank, scored in enumerate(prediction.top(self.top_k), start=1):
            row[f"label_{rank}"] = scored.label
            row[f"confidence_{rank}"] = round(scored.confidence, 6)
        if self.probabilities:
            row |= {f"p({scored.label})": round(scored.confidence, 6) for scored in prediction.ranked}
        return row


@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows were answered, and which were not."""

    answered: int
    bad: tuple[BadRow, ...]


def predict_file(
    classifier: Classifier,
    source: Path,
    target: Path,
    *,
    layout: Layout | None = None,
    columns: Columns | None = None,
    threshold: float | None = None,
    on_bad: Callable[[BadRow], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """Answer each row of ``source`` into ``target``; the formats follow from the file names.

    The rows of ``target`` are those of ``source``, in order. A bad row (broken, or without a text) keeps its
    place with the reason in the column ``error``, is given to ``on_bad``, and the rest goes on.

    Raises:
        DataError: ``source`` is not a file of a known format, or holds no rows.
    """
    layout, columns = layout or Layout(label_column=None), columns or Columns()
    if source.is_dir():
        raise DataError(f"{source} is a directory; name a file")
    if not source.is_file():
        raise DatasetNotFound(f"no file {source}")
    if target.is_dir():
        raise DataError(f"{target} is a directory; name the file to write")
    writer = format_of(target)
    answered, bad = 0, []
    with replacing(target) as partial, writer.write(partial, columns.names(classifier)) as write:
        for batch in _batched(read_rows(source, layout)):
            rows = [_check(row) for row in batch]
            texts = [row.text for row in rows if isinstance(row, Row)]
            predictions = iter(classifier.predict(texts, threshold=threshold) if texts else [])
            for row in rows:
                if isinstance(row, Row):
                    write(columns.values(row.text, next(predictions)))
                    continue
                write({"text": "", "labels": [], "error": f"row {row.number} {row.problem}"})
                bad.append(row)
                if on_bad:
                    on_bad(row)
            answered += len(texts)
            if progress:
                progress(answered + len(bad))
        if not answered and not bad:
            raise DataError(f"{source} holds no rows")
        if not answered:
            raise DataError(f"{source}: no row can be answered; row {bad[0].number} {bad[0].problem}")
    return Tally(answered, tuple(bad))


def _batched(rows: Iterator[Row | BadRow]) -> Iterator[list[Row | BadRow]]:
    batch: list[Row | BadRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _check(row: Row | BadRow) -> Row | BadRow:
    if isinstance(row, Row) and not (isinstance(row.text, str) and row.text.strip()):
        return BadRow(row.number, "has no text")
    if isinstance(row, Row) and not is_utf8(row.text):
        return BadRow(row.number, NOT_UTF8)
    return row
