"""Replies on disk: the same request costs nothing the second time. No text is stored, only checksums and replies."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ProviderError
from ...files import user_cache
from ...spending import Amount
from .provider import Reply, Request, Token

_FILE = "replies.sqlite"
_WAIT_S = 5.0
_FORGOTTEN_S = 29 * 86_400.0  # for so long services keep results
_KEPT = (
    *("text", "tokens", "probabilities", "seconds", "batch"),
    *("input_tokens", "output_tokens", "cached_tokens", "written_tokens"),  # what the answer would cost again
)
_PUT = "INSERT OR REPLACE INTO replies VALUES (?, ?)"
_LOG = logging.getLogger(__name__)


class Running(NamedTuple):
    """A batch at the service: what each of its requests can cost at most, by its checksum, and when it was sent."""

    id: str
    bounds: Mapping[str, Amount]
    began: float


class ReplyCache:
    """A table in the user's cache directory, which several processes may use. Without it, work goes on and costs more.

    Replies that are no answers are not to be put here.
    """

    def __init__(self, service: Mapping[str, Any], folder: Path | None = None) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._path = (folder or user_cache() / "llm") / _FILE
        self._open: sqlite3.Connection | None = None
        self._broken = False

    def key(self, request: Request) -> str:
        """The sha256 of all that decides a reply: the service, its options, and the whole request."""
        fields = asdict(request)
        if not request.criteria:  # as it was before there were any
            del fields["criteria"]
        whole = {"service": dict(self._service), "request": fields}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def get(self, request: Request) -> Reply | None:
        """The reply to ``request``, if it is known."""
        rows = self._run("SELECT reply FROM replies WHERE key = ?", self.key(request))
        if not rows:
            return None
        try:
            fields = json.loads(rows[0][0])
            tokens = tuple(Token(text, tuple((t, float(p)) for t, p in other)) for text, other in fields["tokens"])
            return Reply(
                text=str(fields["text"]),
                tokens=tokens,
                probabilities=tuple(map(float, fields.get("probabilities", ()))),
                input_tokens=_count(fields.get("input_tokens")),
                output_tokens=_count(fields.get("output_tokens")),
                cached_tokens=_count(fields.get("cached_tokens")) or 0,
                written_tokens=_count(fields.get("written_tokens")) or 0,
                seconds=float(fields["seconds"]),
                batch=fields.get("batch") is True,
            )
        except (ValueError, TypeError, KeyError):
            return None

    def put(self, request: Request, reply: Reply) -> None:
        """Keep ``reply``."""
        self._run(_PUT, self.key(request), _content(reply))

    def require(self) -> None:
        """Check that what is put here is kept.

        Raises:
            ProviderError: it is not.
        """
        if not self._run("SELECT count(*) FROM batches"):
            raise ProviderError(
                f"a batch needs {self._path}, which cannot be used; delete it, name another directory with "
                "XDG_CACHE_HOME, or leave out --batch"
            )

    def begun(self, batch: Running) -> None:
        """Keep a batch of this service until it has :meth:`ended`."""
        content = json.dumps(batch.bounds)
        self._run("INSERT INTO batches VALUES (?, ?, ?, ?)", batch.id, self._name(), content, batch.began)

    def running(self) -> list[Running]:
        """The batches of this service that have not ended, the oldest first; none whose results are gone there."""
        self._run("DELETE FROM batches WHERE began < ?", time.time() - _FORGOTTEN_S)
        rows = self._run("SELECT id, bounds, began FROM batches WHERE service = ? ORDER BY began", self._name())
        return [
            Running(id_, {name: Amount(*bound) for name, bound in json.loads(bounds).items()}, float(began))
            for id_, bounds, began in rows
        ]

    def ended(self, batch: str, replies: Mapping[str, Reply]) -> bool:
        """Keep the ``replies`` of a batch, by the checksums of their requests; ``False`` if that was done before."""

        def work(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            if not connection.execute("DELETE FROM batches WHERE id = ?", (batch,)).rowcount:
                return []
            connection.executemany(_PUT, [(key, _content(reply)) for key, reply in replies.items()])
            return [(batch,)]

        return bool(self._do(work))

    def _name(self) -> str:
        return hashlib.sha256(json.dumps(dict(self._service), sort_keys=True).encode()).hexdigest()

    def _run(self, statement: str, *values: str | float) -> list[tuple[Any, ...]]:
        def work(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            with closing(connection.execute(statement, values)) as found:
                return found.fetchall()

        return self._do(work)

    def _do(self, work: Callable[[sqlite3.Connection], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        """The rows that ``work`` finds in one transaction; none if the file cannot be used."""
        with self._lock:
            if self._broken:
                return []
            try:
                connection = self._open = self._open or self._connect()
                with connection:
                    return work(connection)
            except (sqlite3.Error, OSError) as error:
                self._broken = True
                _LOG.warning("%s cannot be used (%s): replies are not kept; delete it", self._path, error)
                return []

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        # One connection, behind a lock.
        connection = sqlite3.connect(self._path, timeout=_WAIT_S, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT) WITHOUT ROWID")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, service TEXT, bounds TEXT, began REAL)"
        )
        return connection


def _content(reply: Reply) -> str:
    return json.dumps({name: getattr(reply, name) for name in _KEPT})


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
