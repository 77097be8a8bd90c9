"""A table of labelled texts that grows: what is in there stays, corrections of people included."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..data.formats import BadRow, Layout, format_of, read_rows, understand
from ..errors import DataError, OutputExists, RunMismatch
from ..files import replacing
from ..locks import Locked, lock

COLUMNS = ("text", "labels", "confidence", "likeliest", "in_scope", "reason", "row", "bundle")
"""Of a row: the text; its labels, none if it is out of scope; how sure the bundle is of exactly that, from 0 to 1; the
most likely label; the probability that any label applies; why none was decided; the row in the dataset; the bundle."""
_EVERY_S, _SHARE = 10.0, 10  # seconds between two times that the file is written, and multiples of what that takes


class Ledger:
    """The rows of the file ``path``, which is replaced as a whole, so that it is complete at any time."""

    def __init__(self, path: Path, bundle: str, delimiter: str) -> None:
        self.path = path
        self._bundle, self._delimiter = bundle, delimiter
        self._format = format_of(path)
        self._rows: list[Mapping[str, Any]] = []
        self._extra: list[str] = []
        self._unsaved = False
        self._next = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    @contextmanager
    def open(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Take over the rows that are there, if the run is to be resumed; inside, no other process writes the file.

        Raises:
            OutputExists: there is a file, and neither ``resume`` nor ``overwrite`` says what to do with it; or another
                process is writing it.
            DataError: it cannot be read.
            RunMismatch: its rows were labelled by another bundle.
        """
        path = self.path
        if path.is_dir():
            raise DataError(f"{path} is a directory; name the file to write")
        with ExitStack() as held:
            try:
                held.enter_context(lock(path.parent / f".{path.name}.lock"))
            except Locked as holder:
                raise OutputExists(f"{path} is being written ({holder}); wait for it, or name another file") from None
            if path.exists() and not overwrite:
                if not resume:
                    raise OutputExists(
                        f"{path} already exists; pass --resume to go on with it, --overwrite to begin again, or name "
                        "another file"
                    )
                self._take_over()
            yield

    def _take_over(self) -> None:
        path = self.path
        layout = Layout(text_column="text", label_column="labels", keep_columns=True, label_delimiter=self._delimiter)
        self._extra = [name for name in understand(path, layout).columns if name not in COLUMNS]
        for row in read_rows(path, layout):
            if isinstance(row, BadRow):
                raise DataError(f"{path}:{row.number}: {row.problem}; correct the row, or begin again with --overwrite")
            by = row.cells.get("bundle") or self._bundle
            if by != self._bundle:
                raise RunMismatch(
                    f"{path} was labelled by bundle {by}, not by {self._bundle}; go on with that bundle, name another "
                    "--output, or begin again with --overwrite"
                )
            self._rows.append(row.cells)

    @property
    def without_label(self) -> int:
        """The number of rows that are out of scope."""
        return sum(not row.get("labels") for row in self._rows)

    def texts(self) -> Iterator[str]:
        """The texts of all rows, see :func:`same`."""
        return (same(str(row.get("text", ""))) for row in self._rows)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append ``rows``, and write the file if the last time is long enough ago."""
        self._rows += rows
        self._unsaved |= bool(rows)
        if time.monotonic() >= self._next:
            self.save()

    def save(self) -> None:
        """Write the file if it lacks a row; it is always there afterwards if there are rows."""
        if not self._unsaved:
            return
        began = time.monotonic()
        with (
            replacing(self.path) as partial,
            self._format.write(partial, [*COLUMNS, *self._extra], label_delimiter=self._delimiter) as write,
        ):
            for row in self._rows:
                write(row)
        self._unsaved, took = False, time.monotonic() - began
        self._next = time.monotonic() + max(_EVERY_S, _SHARE * took)


def same(text: str) -> str:
    """``text`` as it is known again in a file; one without quoting has no tabs and line breaks."""
    return " ".join(text.split())
