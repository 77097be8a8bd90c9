"""From a table and the answers of a bundle to a review queue."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..data.dataset import is_empty
from ..data.formats import BadRow, Layout, read_rows, understand
from ..data.hints import Hints, NotLabels
from ..data.reading import Reading
from ..errors import DataError
from ..labelling.answered import COLUMNS
from ..labels import Task
from ..prediction import AnswerOptions
from ..runtime.memory import MEMORY_FILE
from ..wording import sentence
from .given_rows import Bounds, TooMuch
from .ledger import REVIEW, Ledger
from .merging import Labelled
from .picking import USUAL, Candidate, Limits, Omitted, Picked, pick

LEFT_OUT: dict[Omitted, str] = {
    "sure": "the model is sure, and nothing disagrees",
    "none": "the file has no label for them, and the model is sure that none applies",
    "declined": "the model is sure that none of its labels applies; a few of each kind are in the queue",
    "same": "the same text is in the queue",
    "most": "the queue is full",
}
"""What is said of texts that are not in a queue."""
_RANKED = 10
_SQLITE = b"SQLite format 3\0"
_NOTHING = "nothing is labelled yet, so that there is nothing to export; label a text first"
_LABELLED = set(COLUMNS) - {"text", "labels", "row"}  # what only a table of purport label has


@dataclass(frozen=True, slots=True)
class Given:
    """A text of the data: its labels, ``None`` where the data has none, and where it stands.

    In a table of ``purport label`` the labels are those of the bundle ``by``, which has this ``confidence`` in them. A
    row that a person corrected there has no confidence.
    """

    text: str
    labels: tuple[str, ...] | None
    where: str
    by: str = ""
    confidence: float | None = None

    def candidate(
        self, answer: Mapping[str, Any], other: Mapping[str, Any] | None, bundle: str, below: float
    ) -> Candidate:
        """This text as answered by ``bundle``. What the same bundle said of it before is no second opinion."""
        labels = None if self.by == bundle else self.labels
        doubtful = self.confidence is not None and self.confidence < below
        return Candidate(self.text, answer, labels, other, self.where, doubtful)


Count = Callable[[str, Iterable[str]], None]
"""Takes text and labels of each row that is read, and raises a DataError to end the reading."""


def texts_of(
    path: Path, reading: Reading, name: str = "", bounds: Bounds | None = None, say: Callable[[str], None] | None = None
) -> tuple[list[Given], int]:
    """The texts of a file, and the number of its rows that cannot be used. Labels are read where it has them.

    ``say`` gets a sentence if there is a column that could be that of the labels, and has none of the bundle.

    Raises:
        DataError: it cannot be read, no row can be used, or it is more than ``bounds``.
    """
    texts: list[Given] = []
    try:
        texts, bad = _rows(path, reading.of(path), name or path.name, _counting(bounds))
    except TooMuch:
        raise
    except NotLabels as error:
        if say is not None:
            say(sentence(str(error).replace(str(path), name or path.name).partition("; if it has")[0]))
    except DataError:
        pass
    if not texts:
        alone = replace(reading, layout=replace(reading.layout, label_column=None))
        texts, bad = _rows(path, alone.of(path), name or path.name, _counting(bounds))
    if not texts:
        raise DataError(f"{name or path.name} has no row with a text; choose a table with a column of texts")
    return texts, bad


def _counting(bounds: Bounds | None) -> Count:
    """Counts from the first row on: a file may be read twice."""
    return replace(bounds, rows=0, size=0, labels=set()).count if bounds else lambda text, labels: None


def _rows(path: Path, reading: Reading, name: str, count: Count) -> tuple[list[Given], int]:
    found = understand(path, reading.layout)
    texts, bad, layout = [], 0, found.layout
    labelled = layout.label_column is not None
    by_bundle = labelled and bool(used_of(found.columns))
    for row in read_rows(path, replace(layout, keep_columns=True) if by_bundle else layout):
        if is_empty(row):
            count("", ())
            continue
        example = row if isinstance(row, BadRow) else reading.example(row)
        if isinstance(example, BadRow) or example is None:
            bad += 1
            count("", ())
            continue
        count(example.text, example.labels if labelled else ())
        given = Given(example.text, example.labels if labelled else None, f"{name}, row {row.number}")
        texts.append(_marked(given, example.cells or {}) if by_bundle else given)
    return texts, bad


def used_of(columns: Collection[str]) -> tuple[str, ...]:
    """The ``columns`` of a table of ``purport label`` that a queue is made of, beside texts and labels."""
    return ("confidence", "bundle") if set(columns) >= _LABELLED else ()


def _marked(given: Given, cells: Mapping[str, Any]) -> Given:
    """``given`` with what ``purport label`` wrote beside it, unless a person emptied the confidence."""
    try:
        confidence = float(cells["confidence"])
    except (KeyError, TypeError, ValueError):
        return given
    return replace(given, by=str(cells["bundle"]), confidence=confidence)


def options_for(bundle: Bundle) -> AnswerOptions:
    """What the answers must have."""
    remembers = MEMORY_FILE in bundle.manifest.files
    return AnswerOptions(top_k=_RANKED, examples=2 if remembers else 0)


def gather(
    target: Path,
    title: str,
    given: Sequence[Given],
    answers: Sequence[Mapping[str, Any]],
    bundle: Bundle,
    *,
    others: tuple[Bundle, Sequence[Mapping[str, Any]]] | None = None,
    chosen: Limits = USUAL,
    owner: str | None = None,
    bad: int = 0,
    said: Sequence[str] = (),
) -> Ledger:
    """Write the queue of those of the texts ``given`` that are worth a look, and open it.

    ``said`` is what its page says of how the texts were read.

    ``answers`` are those of ``bundle``, and ``others`` a second bundle with its answers, in the order of the texts.

    Raises:
        DataError: no text is worth a look.
    """
    second: Sequence[Mapping[str, Any] | None] = others[1] if others else [None] * len(given)
    manifest = bundle.manifest
    candidates = [
        each.candidate(answer, other, manifest.id, chosen.below)
        for each, answer, other in zip(given, answers, second, strict=True)
    ]
    picked, left = pick(candidates, manifest.task, chosen, known=training_rows(bundle))
    if not picked:
        raise DataError(
            f"nothing to review: the model is sure of all {len(given):,} texts (confidence {chosen.below:g} or more), "
            "and no label disagrees; choose another file or a higher confidence"
        )
    about = _about(bundle, given) | {
        "title": title,
        "owner": owner,
        "other": others[0].manifest.id if others else None,
        "bad": bad,
        "below": chosen.below,
        "why": dict(Counter(each.why for each in picked)),
        "left": left,
        "said": list(said),
    }
    return Ledger.create(target, about, ((each.batch, _content(each)) for each in picked))


def _about(bundle: Bundle, given: Sequence[Given]) -> dict[str, Any]:
    """What a queue of the texts ``given`` remembers of ``bundle``."""
    manifest = bundle.manifest
    return {
        "kind": REVIEW,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": str(manifest.task),
        "labels": sorted({*manifest.labels, *(label for each in given for label in each.labels or ())}),
        "bundle": manifest.id,
        "data": Hints.of(bundle).kept,
        "texts": len(given),
    }


def training_rows(bundle: Bundle) -> dict[str, int]:
    """The number of training rows of each label, as the bundle tells it; empty where it does not."""
    try:
        found = json.loads((bundle.path / "data.json").read_text("utf-8"))["labels"]
        return {str(label): int(number) for label, number in found.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _content(picked: Picked) -> dict[str, Any]:
    each = picked.candidate
    return {
        "text": each.text,
        "where": each.where,
        "labels": None if each.labels is None else list(each.labels),
        "why": picked.why,
        "reason": each.answer.get("reason"),
        "decided": list(each.answer["labels"]),
        "in_scope": each.answer.get("in_scope"),
        "ranked": [[one["label"], one["confidence"]] for one in each.answer["intents"]],
        "other": None if each.other is None else list(each.other["labels"]),
        "examples": [
            {"text": one["text"], "labels": one["labels"]}
            for one in each.answer.get("examples", ())
            if one.get("text") is not None
        ],
    }


def hints_of(path: Path) -> Hints:
    """What a review queue remembers of the bundle that it was made with; nothing for a table of ``purport label``."""
    return Hints.again(Ledger(path).about if _is_queue(path) else {})


def _is_queue(path: Path) -> bool:
    """Whether it is no table; what is missing is told as for a queue."""
    with suppress(OSError), path.open("rb") as stream:
        return stream.read(len(_SQLITE)) == _SQLITE
    return True


def labelled(path: Path, label_delimiter: str = "+") -> list[Labelled]:
    """The labelled texts of a review queue, or of a table of ``purport label``; those of a bundle correct nobody.

    Raises:
        DataError: the file is neither, or nothing is labelled.
    """
    if not _is_queue(path):
        layout = Layout("text", "labels", label_delimiter=label_delimiter)
        texts, _ = texts_of(path, Reading(layout=layout, unlabelled="out_of_scope"))
        if not any(each.labels for each in texts):
            raise DataError(f"{path} has no labels; name a review queue, or a table of purport label")
        return [Labelled(each.text, each.labels or (), each.confidence is None) for each in texts]
    rows = [Labelled(text, tuple(labels)) for text, labels in reviewed(Ledger(path))]
    if not rows:
        raise DataError(_NOTHING)
    return rows


def reviewed(ledger: Ledger) -> Iterator[tuple[str, list[str]]]:
    """Text and labels of each text that was decided on, in order; no labels where none applies."""
    for entry in ledger.entries(status=DONE):
        yield entry.content["text"], list((entry.state or {}).get("labels", ()))


DONE, SKIPPED = "done", "skipped"
"""The statuses of a text that was looked at."""


def export(ledger: Ledger, target: Path) -> int:
    """Write what was decided as training data, in the format of the name of ``target``; the number of rows.

    A table for spreadsheets has a column ``reviewed``, by which its escaped cells are known when it is read again.

    Raises:
        FormatUnknown: no format has that suffix.
        DataError: nothing was decided yet, or the format cannot hold the labels.
    """
    from ..data.formats import format_of
    from ..data.formats.spreadsheet import REVIEWED_COLUMNS
    from ..files import replacing

    rows = list(reviewed(ledger))
    if not rows:
        raise DataError(_NOTHING)
    table = target.suffix in (".csv", ".tsv")
    columns = list(REVIEWED_COLUMNS) if table else ["text", "label"]
    with (
        replacing(target) as partial,
        format_of(target).write(partial, columns, label_delimiter=_delimiter(rows, target)) as write,
    ):
        for text, labels in rows:
            write({"text": text, "label": labels} | ({"reviewed": "yes"} if table else {}))
    return len(rows)


def _delimiter(rows: Sequence[tuple[str, list[str]]], target: Path) -> str:
    several = any(len(labels) > 1 for _, labels in rows)
    if several and target.suffix not in (".jsonl", ".json", ".parquet"):
        for _, labels in rows:
            if clash := next((label for label in labels if "+" in label), None):
                raise DataError(
                    f'the label "{clash}" contains "+", which joins labels in {target.name}; export JSON Lines'
                )
    return "+"


def is_multiclass(ledger: Ledger) -> bool:
    """Whether a text has exactly one label."""
    return ledger.about.get("task") == Task.MULTICLASS
