"""How a table is read for a bundle that was trained on another one: the one rule of all commands and pages.

What the user names wins. Then counts what the file shows: its byte order mark, that it is UTF-8, its header, its
delimiter. What the bundle remembers of its training table decides only what is then open (record 22).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..bundle import Bundle
from ..errors import BundleCorrupt, DataError
from ..labels import Task
from .formats import BadRow, Layout, Row, Understood, read_rows, understand
from .formats.columns import DEFAULT_LABEL_COLUMN, is_usual
from .formats.encoded import encoding_for
from .reading import Example, Reading, Tally
from .spec import DataSpec, data_spec
from .survey import FileRead
from .suspicions import DELIMITERS, are_joined, garbled, joined_by

_READ = (
    "text_column", "label_column", "label_delimiter", "out_of_scope", "label_names", "joint", "header", "delimiter",
    "encoding",
)  # fmt: skip
_LOOK = 10_000  # rows whose labels say what stands between labels
_UNKNOWN = 200  # labels that are not of the bundle of which it is looked whether they are such written otherwise
_BAD = 0.1  # share of rows that cannot be read, from which a table is written otherwise


def _silent(_: str) -> None:
    """Says nothing."""


def _none(_: Collection[str]) -> tuple[str, ...]:
    return ()


class NotLabels(DataError):
    """No value of the column that would be taken for the labels is a label of the bundle."""


@dataclass(frozen=True)
class Hints:
    """What a bundle remembers of the table that it was trained on.

    Attributes:
        spec: how that table was read; the defaults if the bundle does not say.
        labels: what the bundle can answer; of a joint label also its parts.
        task: that of the bundle.
    """

    spec: DataSpec
    labels: frozenset[str]
    task: Task

    @classmethod
    def of(cls, bundle: Bundle) -> Hints:
        """Those of ``bundle``."""
        try:
            spec = data_spec(bundle)
        except BundleCorrupt:
            spec = DataSpec(name="")
        labels = frozenset(bundle.manifest.labels)
        return cls(spec, labels | spec.parts(labels), bundle.manifest.task)

    @classmethod
    def again(cls, kept: Mapping[str, Any]) -> Hints:
        """Those that were ``kept`` as ``data``, beside ``labels`` and ``task``; as of no bundle where they are not."""
        try:
            spec = DataSpec.model_validate({"name": "", **kept.get("data", {})})
        except (ValidationError, TypeError):
            spec = DataSpec(name="")
        labels = frozenset(map(str, kept.get("labels", ())))
        task = Task.MULTICLASS if kept.get("task") == Task.MULTICLASS else Task.MULTILABEL
        return cls(spec, labels | spec.parts(labels), task)

    @property
    def kept(self) -> dict[str, Any]:
        """How the training table is read, for :meth:`again`: not what it is called."""
        return self.spec.model_dump(mode="json", include=set(_READ), exclude_defaults=True)

    def reading(
        self, named: DataSpec, say: Callable[[str], None] = _silent, *, labels: bool = True, several: bool = False,
        usual: bool = False,
        also: Callable[[Collection[str]], tuple[str, ...]] = _none,
    ) -> Reading:  # fmt: skip
        """How tables are read for the bundle; only what the user named is set in ``named``.

        ``say`` gets a line for each file: how it is read. Without ``labels`` only texts are read. With ``several``, a
        row may have several labels even if the bundle is multiclass. With ``usual``, a column with a usual name is that
        of the labels even if none is of the bundle. ``also`` says which columns of a table the caller
        uses beside texts and labels.
        """
        given = named.model_fields_set
        kept = ("text_column", "label_column", "label_delimiter", "unlabelled", "out_of_scope", "label_names")
        task = Task.MULTILABEL if several and not self.spec.joint else self.task
        own = {name: getattr(self.spec, name) for name in (*kept, "joint", "confidence_column") if name not in given}
        reading = named.model_copy(update=own).reading(task)
        if not labels:
            reading = replace(reading, layout=replace(reading.layout, label_column=None), confidence=None)
        return replace(
            reading,
            joined_by=self.spec.label_delimiter if self.spec.joint else None,
            settle=lambda path, left: self._settle(path, left, given, say, also, usual),
        )

    def understand(self, path: Path, layout: Layout, named: Collection[str] = ()) -> Understood:
        """How ``path`` is read: ``layout`` with everything settled except the fields ``named`` by the user.

        Raises:
            DataError: it is doubtful; the message names the option that settles it.
        """
        if layout.encoding is None:
            layout = replace(layout, encoding=encoding_for(path, self.spec.encoding))
        first: DataError | None = None
        for tried in self._tries(layout, named):
            try:
                found = understand(path, tried)
            except DataError as error:
                first = first or error
            else:
                return self._as_before(path, found, layout)
        assert first is not None, "there is at least one try"
        raise first

    def _tries(self, layout: Layout, named: Collection[str]) -> Iterator[Layout]:
        """``layout`` with what is open decided in each way, the best first: with the columns of the training table or
        usual ones, with what is found out or what the training table had."""
        names = {
            role: [getattr(layout, role)]
            if role in named or getattr(layout, role) is None
            else list(dict.fromkeys((getattr(self.spec, role), getattr(Layout(), role))))
            for role in ("text_column", "label_column")
        }
        for header, delimiter in product((None, self.spec.header), (None, self.spec.delimiter)):
            header = header if layout.header is None else layout.header
            for text, label in product(*names.values()):
                yield Layout(
                    text, label, header, layout.label_delimiter, layout.delimiter or delimiter, layout.encoding,
                    layout.keep_columns,
                )  # fmt: skip

    def _as_before(self, path: Path, found: Understood, layout: Layout) -> Understood:
        """``found``, or with the delimiter of the training table where a table without a header fits both."""
        delimiter = self.spec.delimiter
        if layout.delimiter or delimiter in (None, found.layout.delimiter) or found.layout.header is not False:
            return found
        other = understand(path, replace(found.layout, delimiter=delimiter))
        rows = list(islice(read_rows(path, other.layout), _LOOK))
        bad = sum(isinstance(row, BadRow) and not row.empty for row in rows)
        return found if bad > _BAD * len(rows) else other

    def _settle(
        self, path: Path, reading: Reading, named: Collection[str], say: Callable[[str], None],
        also: Callable[[Collection[str]], tuple[str, ...]], usual: bool,
    ) -> Reading:  # fmt: skip
        found = self.understand(path, reading.layout, named)
        layout = found.layout
        if "label_delimiter" not in named and layout.label_column is not None:
            layout = replace(layout, label_delimiter=self._label_delimiter(path, layout))
        known = usual and is_usual(layout.label_column or "", "label")
        if "label_column" not in named and not known and not also(found.columns):
            self._require_labels(path, replace(reading, layout=layout))
        confidence = reading.confidence if reading.confidence in found.columns else None
        kept = reading.layout.keep_columns and (reading.confidence is None or confidence is not None)
        said = FileRead(path, "", replace(found, layout=layout), layout.label_delimiter, also(found.columns)).in_words
        say("; ".join([said, *self._otherwise(layout, named)]))
        return replace(reading, layout=replace(layout, keep_columns=kept), confidence=confidence)

    def _require_labels(self, path: Path, reading: Reading) -> None:
        """Check that the column of labels has some of the bundle, unless it has the name of that of the training table.

        Raises:
            NotLabels: it has other values only, such as dates.
        """
        layout, column = reading.layout, reading.layout.label_column
        usual = {self.spec.label_column.strip().casefold(), DEFAULT_LABEL_COLUMN}
        if column is None or not self.labels or (layout.header is not False and column.strip().casefold() in usual):
            return
        trial, unknown = replace(reading, settle=None, confidence=None, tally=Tally()), set[str]()
        for row in islice(read_rows(path, layout), _LOOK):
            example = trial.example(row) if isinstance(row, Row) else None
            found = self.spec.parts(frozenset(example.labels)) if isinstance(example, Example) else frozenset()
            if not self.labels.isdisjoint(found) or trial.tally.none:
                return
            unknown |= found
        if unknown and not any(self.warnings(sorted(unknown)[:_UNKNOWN])):
            where = f'column "{column}"' if layout.header is not False else "column 2"
            raise NotLabels(
                f'no value of {where} of {path} is a label of the bundle ("{min(unknown)}" is not, for example), so '
                "that it is not taken for the labels; if it has them, name it with --label-column"
            )

    def _otherwise(self, layout: Layout, named: Collection[str]) -> Iterator[str]:
        """What the training table had otherwise, in words."""
        was = []
        encoding, known = self.spec.encoding, layout.encoding or ""
        if encoding and known and encoding.casefold().replace("-", "") not in known.replace("-", ""):
            yield "UTF-8" if known.startswith("utf-8") else known.upper()
            was.append(encoding)
        for what, role in (("texts from", "text_column"), ("labels from", "label_column")):
            before, now = getattr(self.spec, role), getattr(layout, role)
            if now is not None and layout.header is not False and before not in (now, getattr(Layout(), role)):
                was.append(f'{what} "{before}"')
        if layout.label_column is not None and layout.label_delimiter != self.spec.label_delimiter:
            was.append(f'"{self.spec.label_delimiter}" between labels')
        if was:
            yield f"the training table had {', '.join(was)}"

    def _label_delimiter(self, path: Path, layout: Layout) -> str:
        """What splits most cells into labels of the bundle; where nothing does, the delimiter of the training table."""
        found = (row.label for row in islice(read_rows(path, layout), _LOOK) if isinstance(row, Row))
        cells = Counter(label for label in found if isinstance(label, str))
        known = self.labels | {*self.spec.out_of_scope}
        own = self.spec.label_delimiter
        candidates = list(dict.fromkeys(each for each in (own, *DELIMITERS) if each))
        fits = {each: sum(n for cell, n in cells.items() if are_joined(cell, each, known)) for each in candidates}
        best = max(candidates, key=lambda each: fits[each], default=own)
        return best if fits.get(best) else own

    def warnings(self, labels: Iterable[str]) -> Iterator[str]:
        """A sentence for each of ``labels`` that looks like labels of the bundle, garbled or joined."""
        for label in sorted({*labels} - self.labels):
            if right := garbled(label, self.labels):
                yield (
                    f'the label "{label}" looks like "{right}" read in a wrong encoding; pass the right --encoding, or '
                    "correct the file"
                )
            elif delimiter := joined_by(label, self.labels):
                yield (
                    f'the label "{label}" looks like several labels of the bundle; if it is, pass '
                    f'--label-delimiter "{delimiter}"'
                )
