"""The rows of a file and what one or two models answer to them: on the disk, so that memory does not grow with them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUT, SURE, UNSURE, BAD, FLIPS = "out", "in", "unsure", "bad", "flips"
"""Kinds of rows: out of scope, in scope, in scope with little confidence, not answered, answered differently."""
UNSURE_BELOW = 0.8

_TABLES = """
CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT, cells TEXT NOT NULL, problem TEXT,
    flips INTEGER NOT NULL DEFAULT 0);
CREATE TABLE answers (row INTEGER, model INTEGER, labels TEXT NOT NULL, confidence REAL NOT NULL,
    in_scope REAL NOT NULL, reason TEXT, PRIMARY KEY (row, model)) WITHOUT ROWID;
CREATE TABLE decided (model INTEGER, label TEXT, row INTEGER, PRIMARY KEY (model, label, row)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a model to a row: the decided labels, the confidence of the likeliest, and why none is decided."""

    labels: tuple[str, ...]
    confidence: float
    in_scope: float
    reason: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the file: its number, its text and other cells, why it is not answered, and the answers by model."""

    number: int
    text: str
    cells: Mapping[str, Any]
    problem: str | None
    flips: bool
    answers: Mapping[int, Answer]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows to show.

    Attributes:
        label: one that the first model decided, or either of two; empty for any.
        kind: one of the kinds above; empty for any.
        below, above: bounds of the first model's confidence.
    """

    label: str = ""
    kind: str = ""
    above: float = 0.0
    below: float = 1.0

    def condition(self) -> tuple[str, list[Any]]:
        """The same in SQL, with its values."""
        parts, values = ["1"], list[Any]()
        if self.label:
            parts.append("EXISTS (SELECT 1 FROM decided d WHERE d.row = r.id AND d.label = ?)")
            values.append(self.label)
        if self.kind:
            parts.append(_KINDS[self.kind])
        if self.above > 0:
            parts.append("a.confidence >= ?")
            values.append(self.above)
        if self.below < 1:
            parts.append("a.confidence <= ?")
            values.append(self.below)
        return " AND ".join(parts), values


_KINDS = {
    OUT: "a.labels = '[]'",
    SURE: "a.labels <> '[]'",
    UNSURE: f"a.labels <> '[]' AND a.confidence < {UNSURE_BELOW}",
    BAD: "r.problem IS NOT NULL",
    FLIPS: "r.flips = 1",
}
_FROM = "FROM rows r LEFT JOIN answers a ON a.row = r.id AND a.model = 0"


class Sheet:
    """The rows of one file, in an SQLite file at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as base:
            base.executescript(_TABLES)

    def add(self, rows: Iterable[tuple[str | None, Mapping[str, Any], str | None]]) -> None:
        """Add rows, which are numbered from 1 on: text, cells, and why it cannot be answered."""
        values = ((text, json.dumps(dict(cells), default=str), why) for text, cells, why in rows)
        with self._open() as base:
            base.executemany("INSERT INTO rows (text, cells, problem) VALUES (?, ?, ?)", values)

    def texts(self, after: int, most: int) -> list[tuple[int, str]]:
        """Up to ``most`` rows that can be answered, from the row after number ``after``: number and text."""
        with self._open() as base:
            asked = "SELECT id, text FROM rows WHERE id > ? AND problem IS NULL ORDER BY id LIMIT ?"
            return base.execute(asked, (after, most)).fetchall()

    def answer(self, model: int, answers: Sequence[tuple[int, Answer | str]]) -> None:
        """Keep what ``model`` (0 or 1) answers to rows, or why it does not."""
        found = [(row, each) for row, each in answers if isinstance(each, Answer)]
        with self._open() as base:
            base.executemany(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)",
                ((row, model, json.dumps(sorted(a.labels)), a.confidence, a.in_scope, a.reason) for row, a in found),
            )
            decided = {(model, label, row) for row, a in found for label in a.labels}
            base.executemany("INSERT INTO decided VALUES (?, ?, ?)", decided)
            failed = [(why, row) for row, why in answers if isinstance(why, str)]
            base.executemany("UPDATE rows SET problem = ? WHERE id = ?", failed)

    def compare(self) -> None:
        """Mark the rows that the two models answer differently: with another set of labels."""
        with self._open() as base:
            base.execute(
                "UPDATE rows SET flips = 1 WHERE id IN (SELECT a.row FROM answers a JOIN answers b ON a.row = b.row "
                "WHERE a.model = 0 AND b.model = 1 AND a.labels <> b.labels)"
            )

    def counts(self) -> dict[str, int]:
        """The number of rows of each kind, and of ``all``."""
        with self._open() as base:
            asked = ", ".join(f"SUM({condition})" for condition in _KINDS.values())
            found = base.execute(f"SELECT COUNT(*), {asked} {_FROM}").fetchone()
        return {"all": found[0]} | {kind: number or 0 for kind, number in zip(_KINDS, found[1:], strict=True)}

    def labels(self) -> list[tuple[str, int]]:
        """The labels that were decided, and the number of rows of each, the most frequent first."""
        with self._open() as base:
            asked = "SELECT label, COUNT(DISTINCT row) n FROM decided GROUP BY label ORDER BY n DESC, label"
            return base.execute(asked).fetchall()

    def number(self, chosen: Filter) -> int:
        """The number of rows that ``chosen`` shows."""
        condition, values = chosen.condition()
        with self._open() as base:
            found: int = base.execute(f"SELECT COUNT(*) {_FROM} WHERE {condition}", values).fetchone()[0]
        return found

    def lines(self, chosen: Filter, start: int = 0, most: int = -1) -> Iterator[Line]:
        """The rows that ``chosen`` shows, in order: up to ``most`` (-1: all) from position ``start``."""
        condition, values = chosen.condition()
        asked = (
            "SELECT r.id, r.text, r.cells, r.problem, r.flips, a.labels, a.confidence, a.in_scope, a.reason, "
            f"b.labels, b.confidence, b.in_scope, b.reason {_FROM} LEFT JOIN answers b ON b.row = r.id AND b.model = 1 "
            f"WHERE {condition} ORDER BY r.id LIMIT ? OFFSET ?"
        )
        with self._open() as base:
            for found in base.execute(asked, [*values, most, start]):
                number, text, cells, problem, flips = found[:5]
                answers = {
                    at: _answer(found[5 + 4 * at : 9 + 4 * at]) for at in (0, 1) if found[5 + 4 * at] is not None
                }
                yield Line(number, text or "", json.loads(cells), problem, bool(flips), answers)

    def delete(self) -> None:
        """Delete it from the disk."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection; what is written in the block is written together."""
        with closing(sqlite3.connect(self.path, timeout=30)) as base:
            base.execute("PRAGMA synchronous = OFF")  # what is here can be made again
            base.execute("PRAGMA journal_mode = MEMORY")
            with base:
                yield base


def _answer(cells: Sequence[Any]) -> Answer:
    return Answer(tuple(json.loads(cells[0])), *cells[1:])
