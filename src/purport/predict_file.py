"""Classifies every row of a file: streamed, in order, with bad rows reported; the output is complete or absent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from .classifier import Classifier
from .costs import Costs, LabelCost
from .data.formats import EMPTY, BadRow, Layout, Row, format_beside, is_blank, read_rows, understand, unique_names
from .data.formats.spreadsheet import column_cell
from .data.reading import text_problem
from .data.spec import data_spec
from .errors import DataError, DatasetNotFound
from .files import replacing, require_parent
from .labels import Task
from .prediction import AnswerOptions, Prediction, encode
from .progress import SILENT, Progress, Reporter

_BATCH = 512
_DELIMITERS = "+;|,/"
_EXAMPLE = ("example", "example_labels", "similarity")


def answer_columns(classifier: Classifier, options: AnswerOptions) -> list[str]:
    """``labels``, ``in_scope``, ``reason``, ``error``, ``label_1``, ``confidence_1``, …; then, if they are asked for,
    ``p(<label>)`` and ``example_1`` (a text, or ``row 12``), ``example_labels_1``, ``similarity_1``, …"""
    ranks = range(1, min(options.top_k, len(classifier.labels)) + 1)
    top = [name for rank in ranks for name in (f"label_{rank}", f"confidence_{rank}")]
    every = [f"p({label})" for label in classifier.labels] if options.probabilities else []
    near = [f"{name}_{rank}" for rank in range(1, options.examples + 1) for name in _EXAMPLE]
    return ["labels", "in_scope", "reason", "error", *top, *every, *near]


def answer_cells(prediction: Prediction, options: AnswerOptions) -> dict[str, Any]:
    """The answer of one row, by column."""
    fields = encode(prediction, options)
    row: dict[str, Any] = {name: fields[name] for name in ("labels", "in_scope", "reason")}
    for rank, intent in enumerate(fields["intents"], start=1):
        row |= {f"label_{rank}": intent["label"], f"confidence_{rank}": intent["confidence"]}
    for rank, (example, encoded) in enumerate(
        zip(prediction.examples, fields.get("examples", ()), strict=True), start=1
    ):
        shown = example.text if example.text is not None else f"row {example.row}" if example.row else ""
        cells = (shown, encoded["labels"], encoded["similarity"])
        row |= {f"{name}_{rank}": cell for name, cell in zip(_EXAMPLE, cells, strict=True)}
    return row | {f"p({label})": value for label, value in fields.get("probabilities", {}).items()}


def label_delimiter(classifier: Classifier) -> str:
    """What joins decided labels where a format has no lists: that of the training data, if no label contains it.

    Raises:
        DataError: every usual delimiter is part of a label.
    """
    if classifier.task is Task.MULTICLASS:
        return "+"
    candidates: list[str] = [data_spec(classifier.bundle).label_delimiter, *_DELIMITERS]
    for delimiter in candidates:
        if delimiter and not any(delimiter in label for label in classifier.labels):
            return delimiter
    raise DataError(
        f"labels have all of {' '.join(_DELIMITERS)} in their names, so that nothing can join them; write JSON Lines "
        "or Parquet, which have lists"
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """The numbers of rows classified and of empty rows, the bad rows, what joins labels without lists, what the rows
    cost by label (:mod:`.costs`), and how many are longer than the model reads."""

    answered: int
    bad: tuple[BadRow, ...]
    delimiter: str = "+"
    empty: int = 0
    costs: Mapping[str, LabelCost] = field(default_factory=dict)
    truncated: int = 0


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

    ``target`` has the rows of ``source``, in the same order, with all their columns; the answer is in columns after
    them (an older answer in columns of the same names is renamed). A bad row (malformed, or without a text) keeps its
    place, with the reason in the column ``error``; it is passed to ``on_bad``, and reading continues. So does an empty
    row, such as a blank line, which is only counted. A table is written as ``source`` is, see :func:`.format_beside`.

    Raises:
        DataError: ``source`` is not a file of a known format, or has no usable rows.
        OutputUnwritable: there is no directory for ``target``.
    """
    layout = replace(layout or Layout(), label_column=None, keep_columns=True)
    require_files(source, target)
    writer, joined = format_beside(target, source, layout), label_delimiter(classifier)
    answers = answer_columns(classifier, options)
    given = renamed(unique_names(understand(source, layout).columns or layout.columns), answers)
    # In JSON, later rows may have columns that the first ones have not.
    like = (source, layout) if getattr(writer, "own_columns", False) else None
    answered, truncated, unanswered, costs = 0, 0, [], Costs(classifier.labels)
    found = map(usable, read_rows(source, layout))
    with (
        replacing(target) as partial,
        writer.write(partial, [*given.values(), *answers], label_delimiter=joined, like=like) as write,
    ):
        while rows := list(islice(found, _BATCH)):
            predictions = _predictions(classifier, rows, options, costs)
            answered += len(predictions)
            truncated += sum(each.truncated for each in predictions)
            for row in rows:
                kept = kept_cells(row, given)
                if isinstance(row, Row):
                    write(kept | answer_cells(predictions.popleft(), options))
                    continue
                write(kept | {"labels": [], "error": f"row {row.number} {row.problem}"})
                unanswered.append(row)
                if on_bad and not row.empty:
                    on_bad(row)
            reporter.emit(Progress("classifying", answered + len(unanswered), None, "rows"))
        bad = _bad(source, answered, unanswered)
    return Tally(answered, bad, joined, len(unanswered) - len(bad), costs.by_label(), truncated)


def prefetch_file(
    classifier: Classifier, source: Path, *, layout: Layout | None = None, reporter: Reporter = SILENT
) -> None:
    """Ask about all texts of ``source`` in a batch of the service, and wait; :func:`predict_file` is to follow.

    Raises:
        DataError: ``source`` is not a file of a known format.
        ProviderError: the bundle asks no service, or one that takes no batches, or the service fails.
        BudgetSpent: the batch could cost more than the budget has left.
    """
    layout = replace(layout or Layout(), label_column=None)
    found = map(usable, read_rows(source, layout))
    classifier.prefetch([row.text for row in found if isinstance(row, Row)], reporter)


def _bad(source: Path, answered: int, unanswered: Sequence[BadRow]) -> tuple[BadRow, ...]:
    """The rows that are not merely empty.

    Raises:
        DataError: no row was answered.
    """
    bad = tuple(row for row in unanswered if not row.empty)
    if not answered:
        why = f": no row can be classified; row {bad[0].number}: {bad[0].problem}" if bad else " has no rows"
        raise DataError(f"{source}{why}; name a file with texts")
    return bad


def _predictions(
    classifier: Classifier, rows: Sequence[Row | BadRow], options: AnswerOptions, costs: Costs
) -> deque[Prediction]:
    """The predictions for those of ``rows`` that can be read."""
    texts = [row.text for row in rows if isinstance(row, Row)]
    if not texts:
        return deque()
    answers, n = classifier.answer(texts), len(texts)
    found = classifier.predictions(answers, [options.threshold] * n, [None] * n, [options.examples] * n)
    costs.add([each.labels for each in found], answers.cost)
    return deque(found)


def require_files(source: Path, target: Path) -> None:
    """Check that ``source`` can be read and ``target`` be written.

    Raises:
        DataError: one is a directory, or both are the same file.
        DatasetNotFound: there is no file ``source``.
        OutputUnwritable: there is no directory for ``target``.
    """
    if source.is_dir():
        raise DataError(f"{source} is a directory; name a file in it")
    if not source.is_file():
        raise DatasetNotFound(f"no file {source}")
    if target.is_dir():
        raise DataError(f"{target} is a directory; name the file to write")
    require_parent(target)
    if target.exists() and target.samefile(source):
        raise DataError(f"{target} is the input itself; name another file for the answers")


def kept_cells(row: Row | BadRow, names: Mapping[str, str]) -> dict[str, Any]:
    """The cells of ``row`` under their new ``names``; what looks like a number is one, except in the text."""
    text = row.text if isinstance(row, Row) else None
    return {names.get(name, name): value if value == text else column_cell(value) for name, value in row.cells.items()}


def renamed(columns: Sequence[str], answers: Sequence[str]) -> dict[str, str]:
    """The name in the output of each column of the input; one that the answer needs is marked."""
    names = {name: f"{name} (input)" if name in answers else name for name in columns}
    return dict(zip(names, unique_names(list(names.values())), strict=True))


def usable(row: Row | BadRow) -> Row | BadRow:
    """``row``, or why it cannot be classified."""
    if isinstance(row, BadRow):
        return row
    if is_blank(row.text) and all(map(is_blank, row.cells.values())):
        return BadRow(row.number, EMPTY, cells=row.cells, empty=True)
    problem = text_problem(row.text) if isinstance(row.text, str) else "has no text"
    return (
        row if problem is None else BadRow(row.number, problem.replace("text is empty", "has no text"), cells=row.cells)
    )
