"""A ledger: entries that several people decide on, in one SQLite file, where no edit is lost silently.

Every entry has a version, which each edit names and raises; an edit of an older version is refused with the entry as
it is now. Earlier states are kept, so that every edit can be undone, and it is known who made it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import EntryChanged, Overloaded, PathUnknown, QueueInvalid
from ..files import replacing

REVIEW, FIXES = "review", "fixes"
"""What a ledger is: its ``kind``."""
OPEN = "open"
"""The status of an entry that nobody has decided on."""
_APPLICATION = 0x50525054  # "PRPT", in the header of the file
_FORMAT = 1
_READ_S, _WRITE_S = 0.5, 2.0  # how long a file that somebody else has locked is waited for
_MOST = 2**31
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE entries (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, content TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT '{OPEN}', state TEXT NOT NULL DEFAULT '{{}}', version INTEGER NOT NULL DEFAULT 0,
  base INTEGER NOT NULL DEFAULT 0, who TEXT NOT NULL DEFAULT '', at TEXT NOT NULL DEFAULT '');
CREATE TABLE past (id INTEGER NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL, state TEXT NOT NULL,
  base INTEGER NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (id, version));
CREATE INDEX by_batch ON entries (batch);
CREATE INDEX by_status ON entries (status);
"""
_ABOUT: dict[str, Any] = {
    "title": "", "owner": None, "created": "", "task": "", "labels": [], "bundle": "", "other": None, "texts": 0,
    "bad": 0,
}  # fmt: skip
_COLUMNS = "id, batch, content, status, state, version, base, who, at"
_CHOSEN = "(? IS NULL OR status = ?) AND (? IS NULL OR batch = ?)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        id: its place in the order, from 1.
        batch: entries of one batch are alike, so that one decision may be for all.
        content: what is decided on; it never changes.
        status: ``open``, or what the pages call it once it is decided.
        state: the decision.
        version: the number of its edits; ``base``: the version whose state this is, an older one after an undo.
        who: made the last edit; ``at``: when (UTC, ISO 8601).
    """

    id: int
    batch: int
    content: dict[str, Any]
    status: str = OPEN
    state: dict[str, Any] | None = None
    version: int = 0
    base: int = 0
    who: str = ""
    at: str = ""


_New = Callable[[sqlite3.Connection, Entry], tuple[str, str, int]]
"""Status, state as JSON, and base that an entry gets."""


class Ledger:
    """The ledger in the file ``path``.

    Attributes:
        kind: ``review`` or ``fixes``.
        owner: whose it is; ``None`` for one that the operator made.
        created: when it was made (UTC, ISO 8601).

    Raises:
        QueueInvalid: the file is missing or is no ledger.
        Overloaded: somebody else has locked it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise QueueInvalid(f"no file {path}; create a queue with purport review FILE --with BUNDLE --out {path}")
        with self._connected() as file:
            (application,), (found,) = file.execute("PRAGMA application_id"), file.execute("PRAGMA user_version")
            if (application[0], found[0]) != (_APPLICATION, _FORMAT):
                raise QueueInvalid(f"{path} is no review queue of this version; create it again with purport review")
            # Not all: the labels may be long, and who may not see the ledger must not make the server read them.
            query = "SELECT name, value FROM about WHERE name IN ('kind', 'owner', 'created') AND length(value) < 200"
            head = {name: json.loads(value) for name, value in file.execute(query)}
        self.kind, self.owner, self.created = (head.get(name) for name in ("kind", "owner", "created"))

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the ledger says of itself.

        Raises:
            QueueInvalid: it is damaged.
            Overloaded: somebody else has locked it.
        """
        with self._connected() as file:
            found = {name: json.loads(value) for name, value in file.execute("SELECT name, value FROM about")}
        kinds = {"title": str, "created": str} | ({"labels": list, "texts": int} if self.kind == REVIEW else {})
        if damaged := [name for name, kind in kinds.items() if not isinstance(found.get(name, kind()), kind)]:
            raise QueueInvalid(f"{self.path} is damaged: {damaged[0]} is not what it must be; create it again")
        whole: dict[str, Any] = _ABOUT | found
        return whole

    @classmethod
    def create(cls, path: Path, about: Mapping[str, Any], entries: Iterable[tuple[int, Mapping[str, Any]]]) -> Ledger:
        """Write a ledger of ``entries``, each a batch and its content, in this order; completely or not at all."""
        with closing(sqlite3.connect(":memory:")) as file:
            file.executescript(_SCHEMA)
            file.executemany("INSERT INTO about VALUES (?, ?)", [(k, json.dumps(v)) for k, v in about.items()])
            rows = ((batch, json.dumps(content, ensure_ascii=False)) for batch, content in entries)
            file.executemany("INSERT INTO entries (batch, content) VALUES (?, ?)", rows)
            file.commit()
            made = file.serialize()
        private = about.get("owner") is not None  # what the operator makes is for whoever the umask says
        if private:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.touch(mode=0o600 if private else 0o666)
            partial.write_bytes(made)
        return cls(path)

    def entry(self, number: int) -> Entry:
        """One entry.

        Raises:
            PathUnknown: there is no such entry.
        """
        with self._connected() as file:
            return _one(file, number)

    def entries(
        self, *, status: str | None = None, batch: int | None = None, start: int = 0, most: int = -1
    ) -> list[Entry]:
        """All entries, in order, or those with this ``status``, or of this ``batch``: ``most`` from ``start`` on."""
        with self._connected() as file:
            found = file.execute(
                f"SELECT {_COLUMNS} FROM entries WHERE {_CHOSEN} ORDER BY id LIMIT ? OFFSET ?",
                (status, status, batch, batch, most, start),
            )
            return [_entry(row) for row in found]

    def count_by(self, field: str) -> dict[str, int]:
        """The number of entries with each value of a ``field`` of their contents."""
        with self._connected() as file:
            query = "SELECT CAST(json_extract(content, ?) AS TEXT) v, count(*) FROM entries GROUP BY v"
            return {value or "": number for value, number in file.execute(query, (_at(field),))}

    def count_where(self, field: str, value: Any, status: str | None = None) -> int:
        """The number of entries with this ``value`` of a ``field`` of their contents, and with this ``status``."""
        query = f"SELECT count(*) FROM entries WHERE json_extract(content, ?) = ? AND {_CHOSEN}"
        with self._connected() as file:
            found: int = file.execute(query, (_at(field), value, status, status, None, None)).fetchone()[0]
            return found

    def entries_where(self, field: str, value: Any, *, start: int = 0, most: int = -1) -> list[Entry]:
        """The entries with this ``value`` of a ``field`` of their contents: ``most`` from ``start`` on."""
        query = f"SELECT {_COLUMNS} FROM entries WHERE json_extract(content, ?) = ? ORDER BY id LIMIT ? OFFSET ?"
        with self._connected() as file:
            return [_entry(row) for row in file.execute(query, (_at(field), value, most, start))]

    def tally(self) -> dict[str, int]:
        """The number of entries of each status."""
        with self._connected() as file:
            return dict(file.execute("SELECT status, count(*) FROM entries GROUP BY status"))

    def given_labels(self) -> set[str]:
        """All labels that the decisions on entries have."""
        with self._connected() as file:
            found = file.execute(
                "SELECT DISTINCT each.value FROM entries, json_each(entries.state, '$.labels') AS each"
            )
            return {label for (label,) in found}

    def next_open(self, after: int = 0) -> int | None:
        """The first open entry behind entry ``after``, or else the first of all; ``None`` if all are decided."""
        with self._connected() as file:
            found = file.execute(
                "SELECT id FROM entries WHERE status = ? ORDER BY id <= ?, id LIMIT 1",
                (OPEN, max(0, min(after, _MOST))),
            ).fetchone()
            return found[0] if found else None

    def decide(self, versions: Mapping[int, int], status: str, state: Mapping[str, Any], who: str) -> list[Entry]:
        """Decide on the entries whose ``versions`` the person has seen; all of them or none.

        Raises:
            EntryChanged: one has been edited since.
            PathUnknown: there is no such entry.
        """
        written = json.dumps(state, ensure_ascii=False)
        return self._edit(versions, lambda file, entry: (status, written, entry.version + 1), who)

    def undo(self, versions: Mapping[int, int], who: str) -> list[Entry]:
        """Give the entries the states that they had before their last edit, all or none; that is itself an edit.

        A second undo goes on to the edit before, and leaves what was never edited as it is.

        Raises:
            EntryChanged, PathUnknown: as for :meth:`decide`.
        """

        def before(file: sqlite3.Connection, entry: Entry) -> tuple[str, str, int]:
            query = "SELECT status, state, base FROM past WHERE id = ? AND version = ?"
            past = file.execute(query, (entry.id, entry.base - 1)).fetchone()
            status, state, base = past or (OPEN, "{}", 0)
            return status, state, base

        return self._edit(versions, before, who)

    def _edit(self, versions: Mapping[int, int], new: _New, who: str) -> list[Entry]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._connected(_WRITE_S) as file:
            file.execute("BEGIN IMMEDIATE")
            found = [_one(file, number) for number in versions]
            changed = [each for each in found if each.version != versions[each.id]]
            if changed:
                refusal = EntryChanged(_told(changed[0]))
                refusal.entries = [shown(each) for each in changed]
                raise refusal
            for each in found:
                status, state, base = new(file, each)
                old = (each.id, each.version, each.status, json.dumps(each.state), each.base, each.who, each.at)
                file.execute("INSERT INTO past VALUES (?, ?, ?, ?, ?, ?, ?)", old)
                file.execute(
                    "UPDATE entries SET status = ?, state = ?, base = ?, version = version + 1, who = ?, at = ? "
                    "WHERE id = ?",
                    (status, state, base, who, now, each.id),
                )
            return [_one(file, number) for number in versions]

    @contextmanager
    def _connected(self, patience_s: float = _READ_S) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are kept if the block ends normally."""
        try:
            # Quoted, because "#", "?" and "%" mean something in the address of a file.
            file = sqlite3.connect(f"file:{quote(str(self.path.absolute()))}?mode=rw", timeout=patience_s, uri=True)
            try:
                with file:
                    yield file
            finally:
                file.close()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise Overloaded("Somebody else has locked this list at the moment. Try again.", 1.0) from None
            raise self._damaged(error) from None
        except (sqlite3.Error, ValueError, RecursionError) as error:  # ValueError: what is in it is no JSON
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> QueueInvalid:
        return QueueInvalid(f"{self.path} cannot be used as a review queue ({error})")


def _at(field: str) -> str:
    return f'$."{field}"'


def shown(entry: Entry) -> dict[str, Any]:
    """What a client is told of an entry's state."""
    names = ("id", "version", "status", "state", "who", "at")
    return {name: getattr(entry, name) for name in names}


def _told(entry: Entry) -> str:
    return f"Entry {entry.id} was changed meanwhile by {entry.who} at {entry.at}; your edit was not saved."


def _one(file: sqlite3.Connection, number: int) -> Entry:
    known = 0 < number < _MOST
    row = file.execute(f"SELECT {_COLUMNS} FROM entries WHERE id = ?", (number,)).fetchone() if known else None
    if row is None:
        raise PathUnknown(f"There is no entry {number}.")
    return _entry(row)


def _entry(row: tuple[Any, ...]) -> Entry:
    number, batch, content, status, state, version, base, who, at = row
    found, decided = json.loads(content), json.loads(state)
    if not (isinstance(found, dict) and isinstance(decided, dict)):
        raise ValueError(f"entry {number} is no object")
    return Entry(number, batch, found, status, decided, version, base, who, at)
