"""Lines and quoted rows of a text stream in bounded memory: an endless line is one bad row."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from enum import Enum
from itertools import chain
from typing import IO

from ...wording import count

LIMIT = 1 << 20
"""Characters that a line, or a quoted row of several lines, may have."""
TOO_LONG = f"is longer than {LIMIT:,} characters; split it, or check for a missing line break or quote"
"""The problem of such a row, for a message."""
_CHUNK = 1 << 15
_UNCLOSED = "unexpected end of data"  # in the words of the module csv
_AGAIN = 8  # times as many characters as a file has may be read again, behind quotes that are not closed


class Overlong(Enum):
    """Stands for a line with more characters than allowed; its content was skipped."""

    LINE = "line"


def lines(stream: IO[str], limit: int = LIMIT) -> Iterator[str | Overlong]:
    """The lines of ``stream`` with their ends, as iterating over it gives, but longer ones as ``Overlong.LINE``.

    ``stream`` is opened with ``newline=""``, so that a line ends with ``\\n``, ``\\r`` or ``\\r\\n``. At most
    ``limit`` characters and one chunk are in memory, however long a line is or however far a gzip file expands.
    """
    return chain.from_iterable(_batches(stream, limit))


def _batches(stream: IO[str], limit: int) -> Iterator[list[str | Overlong]]:
    tail, skipping = "", False
    # No line that lies within one chunk can be too long, so that only the first line of a batch is measured.
    while chunk := stream.read(min(_CHUNK, limit)):
        found: list[str | Overlong] = list(io.StringIO(tail + chunk, newline=""))
        # "\r" may be half of a line end, so that it waits for the next chunk too.
        tail = "" if chunk[-1] == "\n" else str(found.pop())
        if found:
            if skipping or len(str(found[0])) > limit:
                found[0], skipping = Overlong.LINE, False
            yield found
        if skipping or len(tail) > limit:
            tail, skipping = tail[-1:], True
    if tail:
        yield [Overlong.LINE if skipping else tail]


def quoted_rows(stream: IO[str], delimiter: str, limit: int = LIMIT) -> Iterator[tuple[int, list[str] | str]]:
    """The rows of a CSV ``stream`` (RFC 4180), each with the number of its first line, or with what is wrong with it.

    A quoted cell may contain line breaks. After a bad row, reading goes on with the line after its first: a quote that
    is never closed costs one row, not the rest of the file. Where very many are not, the lines that were read with a
    bad row are left out too, or the file would be read thousands of times. A blank line is ``[""]``.
    """
    # The module's own limit of a cell is global and ends a row in its middle; the limit of a row takes its place.
    csv.field_size_limit(max(csv.field_size_limit(), limit))
    feed = _Feed(lines(stream, limit), limit)
    number = 1
    while True:
        try:
            # An iterator that raised is finished, so that there is a new one after each bad row.
            for cells in csv.reader(feed.strings(), delimiter=delimiter, strict=True):
                yield number, cells or [""]
                number += len(feed.row)
                feed.row.clear()
            return
        except _Runaway:
            problem = TOO_LONG
        except csv.Error as error:
            reason = "a quote is opened and not closed" if str(error) == _UNCLOSED else error
            problem = f"cannot be read ({reason}); quote the cell as in RFC 4180"
        left_out = feed.retry()
        yield number, f"{problem}; {count(left_out, 'line')} after it left out" if left_out else problem
        number += 1 + left_out


class _Runaway(Exception):
    """A row has more characters than allowed."""


class _Feed:
    """The lines that a ``csv.reader`` asks for; ``row`` has those of the row that is being read."""

    def __init__(self, source: Iterator[str | Overlong], limit: int) -> None:
        self.row: list[str | Overlong] = []
        self._source, self._limit = source, limit
        self._again: deque[str | Overlong] = deque()
        self._spare = _AGAIN * limit

    def retry(self) -> int:
        """Read the lines after the first of this row again, as rows of their own; how many are left out instead."""
        after, left_out = self.row[1:], 0
        self._spare -= sum(len(line) for line in after if isinstance(line, str))
        if self._spare < 0:
            after, left_out, self._spare = [], len(after), 0
        self._again.extendleft(reversed(after))
        self.row.clear()
        return left_out

    def strings(self) -> Iterator[str]:
        """The lines that follow.

        Raises:
            _Runaway: a line, or the row that it belongs to, is too long.
        """
        row, size = self.row, 0
        for line in self._following():
            started = bool(row)
            row.append(line)
            if isinstance(line, Overlong):
                raise _Runaway
            if started:
                size += len(line)
                if size > self._limit:
                    raise _Runaway
            else:
                size = len(line)
            yield line

    def _following(self) -> Iterator[str | Overlong]:
        while self._again:
            yield self._again.popleft()
        for line in self._source:
            self._spare += _AGAIN * len(line) if isinstance(line, str) else 0
            yield line
