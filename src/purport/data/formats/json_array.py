"""JSON files with one array of objects, and the JSON that Rasa wrote before version 2."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ...errors import DataError
from ...wording import json_line
from . import EMPTY, BadRow, Layout, Row, RowWriter, Understood, is_blank
from .encoded import is_utf8, open_read, open_write

_MOST = 1 << 28  # characters; an array has to be in memory as a whole


@dataclass(frozen=True, slots=True)
class JsonArray:
    """One array of objects; or an object in which one is, such as Rasa's ``rasa_nlu_data.common_examples``.

    Rows are numbered by their place in the array.
    """

    suffixes: tuple[str, ...] = (".json",)
    own_columns: ClassVar[bool] = True
    """Rows may have other columns than those before them."""

    def recognises(self, path: Path) -> bool:
        """Whether a JSON file has an array of objects, and not the settings of a tool."""
        try:
            return bool(_array(path, Layout()))
        except DataError:
            return False

    def understand(self, path: Path, layout: Layout) -> Understood:
        """How :meth:`read` reads ``path``.

        Raises:
            DataError: it has no array of objects, or it is doubtful which column is meant.
        """
        return named(layout, _array(path, layout)[:100])

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``; see :class:`~purport.data.formats.Format`."""
        rows = _array(path, layout)
        layout = named(layout, rows[:100]).layout
        for number, values in enumerate(rows, start=1):
            yield row_of(number, values, layout)

    @contextmanager
    def write(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        label_delimiter: str = "+",
        like: tuple[Path, Layout] | None = None,
    ) -> Iterator[RowWriter]:
        """Open ``path`` for rows with these columns; values that are ``None`` are omitted.

        With ``like``, each row has the columns that it comes with, in their order.
        """
        with open_write(path) as stream:
            before = "[\n"

            def write(row: Mapping[str, Any] | str) -> None:
                nonlocal before
                stream.write(before + as_json(row, columns, own=like is not None))
                before = ",\n"

            yield write
            stream.write("[]\n" if before == "[\n" else "\n]\n")


def as_json(row: Mapping[str, Any] | str, columns: Sequence[str], *, own: bool) -> str:
    """``row`` as one line: with all its columns if ``own``, else with those of ``columns`` that it has."""
    if isinstance(row, str):
        return row
    return json_line(row if own else {name: row[name] for name in columns if row.get(name) is not None})


def is_array(path: Path, encoding: str | None) -> bool:
    """Whether ``path`` is one JSON array over several lines or of objects, and not JSON Lines."""
    with open_read(path, encoding) as stream:
        head = stream.read(1 << 16).split()
    return bool(head) and (head[0] == "[" or head[0].startswith("[{"))


def named(layout: Layout, rows: Sequence[Any]) -> Understood:
    """``layout`` with the names of its columns as they are in ``rows``.

    Raises:
        DataError: several columns could be meant, or none of ``rows`` has one that is needed.
    """
    names = list(dict.fromkeys(str(name) for row in rows if isinstance(row, dict) for name in row))
    if not names:
        return Understood(layout)
    wanted = layout.among(names)
    if problem := wanted.missing(names):
        raise DataError(problem)
    return Understood(wanted, tuple(names))


def row_of(number: int, values: Any, layout: Layout) -> Row | BadRow:
    """``values`` as a row; they are an object, or a message that says why there is none."""
    if isinstance(values, str):
        return BadRow(number, values)
    if isinstance(values, dict) and all(map(is_blank, values.values())):
        return BadRow(number, EMPTY, cells=values if layout.keep_columns else {}, empty=True)
    if not isinstance(values, dict):
        return BadRow(number, 'is not a JSON object; write {"text": ..., "label": ...}')
    if layout.text_column not in values:
        return BadRow(number, f'has no "{layout.text_column}"; its names are {", ".join(values) or "missing"}')
    cells = values if layout.keep_columns else {}
    # An object without a label has none: JSON Lines are written without empty values.
    label = None if layout.label_column is None else values.get(layout.label_column)
    return Row(number, values[layout.text_column], label, cells=cells)


def _array(path: Path, layout: Layout) -> list[Any]:
    with open_read(path, layout.encoding) as stream:
        content = stream.read(_MOST + 1)
    if len(content) > _MOST:
        raise DataError(f"{path} is larger than {_MOST:,} characters; save it as JSON Lines, which is read row by row")
    if not is_utf8(content):
        raise DataError(f"{path} is not valid UTF-8; save it as UTF-8, or name its encoding with --encoding")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        lines = sum(line.lstrip().startswith("{") for line in content.splitlines()[:3])
        hint = "name it .jsonl if each line is an object" if lines > 1 else "correct it"
        raise DataError(f"{path} is not valid JSON ({error}); {hint}") from None
    while isinstance(found, dict):
        inside = [value for value in found.values() if isinstance(value, (list, dict)) and value]
        lists = [value for value in inside if isinstance(value, list) and isinstance(value[0], dict)]
        if len(lists) == 1 or "common_examples" in found:
            found = found.get("common_examples", lists[0] if lists else [])
        elif len(inside) == 1 and isinstance(inside[0], dict):
            found = inside[0]
        else:
            break
    if not isinstance(found, list):
        raise DataError(f'{path} has no array of objects; write [{{"text": ..., "label": ...}}, ...]')
    return found


JSON = JsonArray()
