"""Finds out how a table of cells is written: what separates the columns, and whether the first row is a header."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from ...errors import DataError
from . import Layout
from .columns import option

NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
_CONSISTENT = 0.9  # share of rows with the same number of columns
_REPEATED = 0.5  # share of rows whose label occurs again, from which a label that does not is conspicuous
_EVIDENCE = 1000  # rows looked at
_FEW = 10  # rows from which nothing can be said about the repetition of labels
_LONGEST_NAME = 4  # words that the name of a column has
Cells = Sequence[Sequence[str]]


def separated_by(delimiter: str) -> str:
    """``delimiter`` in words."""
    return NAMES.get(delimiter, repr(delimiter))


def find_delimiter(lines: Sequence[str], layout: Layout, default: str, *, tables: bool = True) -> str:
    """The character between the columns of ``lines``, the first of a file.

    It is the one under which the first row has the names of the wanted columns. Otherwise it is ``default``, unless
    lines have one column with it, and the same number of columns with exactly one other. Without ``tables``, a file of
    which only texts are read has one column.

    Raises:
        DataError: two others fit equally well.
    """
    if layout.delimiter:
        return layout.delimiter
    candidates = [default, *(each for each in NAMES if each != default)]
    found = {each: cells(lines, each) for each in candidates}
    named = [each for each in candidates if _has_names(found[each], layout)]
    if named:
        return named[0]
    # Lines of plain text have no columns, and may all have a comma.
    if _consistent(found[default]) or (layout.label_column is None and not tables):
        return default
    fitting = sorted((_consistent(found[each]), each) for each in candidates[1:] if _consistent(found[each]))
    if len(fitting) > 1 and fitting[-1][0] == fitting[-2][0]:
        raise DataError(
            f"columns may be separated by {separated_by(fitting[-1][1])} or by {separated_by(fitting[-2][1])}; "
            'say which with --delimiter (delimiter in a recipe), for example --delimiter ";"'
        )
    return fitting[-1][1] if fitting else default


def cells(lines: Sequence[str], delimiter: str, *, quoting: bool = True) -> list[list[str]]:
    """The cells of ``lines``, as far as they can be read."""
    if not quoting:
        return [line.rstrip("\r\n").split(delimiter) for line in lines]
    found: list[list[str]] = []
    with suppress(csv.Error):
        found.extend(row for row in csv.reader(lines, delimiter=delimiter) if row)
    return found


def only_quoted(lines: Sequence[str], delimiter: str, *, whole: bool) -> bool:
    """Whether ``lines`` have rows of the same number of columns if quotes enclose cells, and not if they do not.

    Unless they are the ``whole`` file, the last row may go on behind them.
    """
    if not any('"' in line for line in lines) or len({*map(len, cells(lines, delimiter, quoting=False))}) == 1:
        return False
    widths: set[int] = set()
    rows = read = 0
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            widths |= {len(row)} - {0}
            rows, read = rows + 1, reader.line_num
    except csv.Error:
        if whole or reader.line_num < len(lines):
            return False
    return len(widths) == 1 and rows < read  # a row of several lines, whose quote is closed


def _consistent(rows: Cells) -> float:
    """The share of rows that have the most frequent number of columns; 0 if it is one column, or if it is too few."""
    widths = Counter(map(len, rows))
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    share = count / max(len(rows), 1)
    return share if width > 1 and share >= _CONSISTENT else 0.0


def _has_names(rows: Cells, layout: Layout) -> bool:
    names = [cell.strip() for cell in rows[0]] if rows else []
    wanted = layout.among(names)
    # A line of one column has the name of the text column whatever the delimiter is.
    return len(names) > 1 and wanted.missing(names) is None


def find_header(first: Sequence[str], others: Cells, layout: Layout) -> bool:
    """Whether ``first`` is a header and not a row; ``others`` are the rows after it.

    Without a column name that is asked for or well known, ``first`` must look like the other rows: its label occurs
    again, or neither the labels nor the texts of the other rows differ in kind from it.

    Raises:
        DataError: it is doubtful.
    """
    if layout.header is not None:
        return layout.header
    names = [cell.strip() for cell in first]
    wanted = layout.among(names)
    found = [name in names for name in wanted.columns]
    if all(found):
        return True
    if len(found) == 2 and len(names) == 2 and any(found):
        return True  # the other column has the other role
    if len(names) > len(found) or layout.text_column != Layout().text_column or any(found):
        raise DataError(
            f"{wanted.missing(names)} If the first row is not a header, pass --no-header (header = false in a recipe)."
        )
    if _looks_like_a_header(names, others, layout):
        shown = ", ".join(f'"{name}"' for name in names)
        pairs = zip(("text", "label"), names, strict=False)
        columns = " ".join(f"{option(role)} {name!r}" for role, name in pairs)
        raise DataError(
            f"the first row ({shown}) may be a header or a row: pass {columns} if it is a header, "
            "--no-header if it is a row (text_column, label_column or header = false in a recipe)"
        )
    return False


def _looks_like_a_header(names: Sequence[str], others: Cells, layout: Layout) -> bool:
    rows = [row for row in islice(others, _EVIDENCE) if len(row) == len(names)]
    if not rows or any(len(name.split()) > _LONGEST_NAME for name in names):
        return False
    spaced = sum(" " in row[0].strip() for row in rows) > len(rows) / 2
    short = all(name and " " not in name for name in names)
    if len(names) == 1:
        return spaced and short
    labels = Counter(label for row in rows for label in _parts(row[1], layout))
    if any(label in labels for label in _parts(names[1], layout)):
        return False
    repeated = sum(any(labels[label] > 1 for label in _parts(row[1], layout)) for row in rows)
    return (len(rows) >= _FEW and repeated >= _REPEATED * len(rows)) or (spaced and short)


def _parts(cell: str, layout: Layout) -> list[str]:
    return [part.strip() for part in (cell.split(layout.label_delimiter) if layout.label_delimiter else [cell])]


def roles(first: Sequence[str], layout: Layout) -> Layout:
    """``layout`` with the names that the header ``first`` has for the columns.

    In a table of two columns, of which at most one has a known name, the other one has the other role.

    Raises:
        DataError: a column is missing.
    """
    names = [cell.strip() for cell in first]
    wanted = layout.among(names)
    if wanted.label_column is not None and len(names) == 2 and layout.columns == Layout().columns:
        if wanted.text_column in names:
            text = names.index(wanted.text_column)
        else:
            text = 1 - names.index(wanted.label_column) if wanted.label_column in names else 0
        wanted = replace(wanted, text_column=names[text], label_column=names[1 - text])
    if problem := wanted.missing(names):
        raise DataError(problem)
    return wanted
