"""Replies on disk: the same request costs nothing the second time. No text is stored, only checksums and replies."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...files import user_cache
from .provider import Reply, Request, Token

_FILE = "replies.sqlite"
_WAIT_S = 5.0
_KEPT = (
    *("text", "tokens", "probabilities", "seconds"),
    *("input_tokens", "output_tokens", "cached_tokens", "written_tokens"),  # what the answer would cost again
)
_LOG = logging.getLogger(__name__)


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
            )
        except (ValueError, TypeError, KeyError):
            return None

    def put(self, request: Request, reply: Reply) -> None:
        """Keep ``reply``."""
        content = json.dumps({name: getattr(reply, name) for name in _KEPT})
        self._run("INSERT OR REPLACE INTO replies VALUES (?, ?)", self.key(request), content)

    def _run(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._broken:
                return []
            try:
                connection = self._open = self._open or self._connect()
                with connection, closing(connection.execute(statement, values)) as found:
                    return found.fetchall()
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
        return connection


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
