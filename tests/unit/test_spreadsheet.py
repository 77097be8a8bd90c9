"""Tables of answers are opened in spreadsheets, which run formulas: none of ours has one, and nothing is lost."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from purport.data.formats import Layout, Row
from purport.data.formats.delimited import CSV, TSV, Delimited
from purport.data.formats.spreadsheet import escape, unescape

SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
CELLS = st.text(st.sampled_from("'=+-@\t\r\n ＝a5.,;\"")) | st.text(st.characters(exclude_categories=["Cs"]))
HEADER = ("text", "labels", "error", "label_1", "confidence_1")


@given(CELLS)
@example("''=1+1")
@example("'")
def test_every_cell_is_safe_and_comes_back(cell: str) -> None:
    assert not escape(cell).startswith(SIGNS)
    assert unescape(escape(cell)) == cell
    if not cell.lstrip("'").startswith(SIGNS):
        assert escape(cell) == cell, "nothing else is touched"


def written(
    table: Delimited, rows: list[tuple[str, str, float]], columns: tuple[str, ...] = HEADER
) -> tuple[bytes, list[Row]]:
    with TemporaryDirectory() as folder:
        file = Path(folder, f"answers{table.suffixes[0]}")
        with table.write(file, columns) as write:
            for text, label, confidence in rows:
                fields = {"text": text, "labels": [label], "label": label, "label_1": label, "confidence_1": confidence}
                write({name: fields.get(name) for name in columns})
        layout = Layout(label_column="labels" if "labels" in columns else "label")
        found = list(table.read(file, layout))
        assert all(isinstance(row, Row) for row in found), found
        return file.read_bytes(), [row for row in found if isinstance(row, Row)]


ROWS = st.lists(st.tuples(CELLS.filter(str.strip), CELLS.filter(str.strip), st.floats(-1, 1)), min_size=1, max_size=5)


@given(ROWS)
def test_a_file_of_answers_has_no_formula_and_is_read_back(rows: list[tuple[str, str, float]]) -> None:
    content, found = written(CSV, rows)
    assert [(row.text, row.label) for row in found] == [(text, label) for text, label, _ in rows]
    _, *lines = csv.reader(io.StringIO(content.decode(), newline=""))
    for cells, (_, _, confidence) in zip(lines, rows, strict=True):
        assert not any(cell.startswith(SIGNS) for cell in cells[:4])
        assert float(cells[4]) == confidence, "a negative number is a number"


@pytest.mark.parametrize("sign", SIGNS)
def test_a_table_without_quotes_folds_breaks_and_has_no_formula_either(sign: str) -> None:
    for text in (f"{sign}cmd|calc!A1", f"'{sign}x", f"a{sign}b"):
        content, [row] = written(TSV, [(text, "@label", -0.5)])
        folded = text.replace("\t", " ").replace("\r", " ").replace("\n", " ")
        assert (row.text, row.label) == (folded, "@label")
        cells = content.decode().splitlines()[1].split("\t")
        assert not any(cell.startswith(SIGNS) for cell in cells[:4]) and cells[4] == "-0.5"


@pytest.mark.parametrize("table", [CSV, TSV])
def test_other_tables_are_as_they_are(table: Delimited) -> None:
    content, found = written(table, [("=1+1", "'@a", 0.5), ("'=x", "-b", 0.5)], ("text", "label"))
    assert [(row.text, row.label) for row in found] == [("=1+1", "'@a"), ("'=x", "-b")]
    assert b"=1+1" in content and b"'=1+1" not in content
