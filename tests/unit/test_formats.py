"""Each format reads what it writes, row by row, and says which row is broken."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from pathlib import Path

import pytest

from purport import registry
from purport.data.formats import BadRow, Layout, Row, format_of, read_rows, understand
from purport.data.formats.encoded import open_read, open_write
from purport.errors import DataError, FormatUnknown

SUFFIXES = [".tsv", ".csv", ".jsonl", ".parquet", ".tsv.gz", ".csv.gz", ".jsonl.gz"]
TEXTS = ["plain", "ümläut 漢字 🙂", 'with "quotes", commas', "ends in a backslash \\"]


def read(path: Path, layout: Layout | None = None) -> list[Row | BadRow]:
    return list(format_of(path).read(path, layout or Layout()))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_reads_what_it_writes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    with format_of(path).write(path, ["text", "label"]) as write:
        for text in TEXTS:
            write({"text": text, "label": ["a", "b"]})
    rows = read(path)
    assert [row.text for row in rows if isinstance(row, Row)] == TEXTS
    assert all(isinstance(row, Row) and row.label in ("a+b", ["a", "b"]) for row in rows)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_are_found_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    with format_of(path).write(path, ["id", "intent", "utterance"]) as write:
        write({"id": "1", "intent": "x", "utterance": "hello"})
    (row,) = read(path, Layout("utterance", "intent"))
    assert isinstance(row, Row) and (row.text, row.label) == ("hello", "x")
    (row,) = read(path)
    assert isinstance(row, Row) and (row.text, row.label) == ("hello", "x"), "names that are well known"
    with pytest.raises(DataError, match=r'no column "labels"; the columns are id, intent, utterance.*--label-column'):
        read(path, Layout("utterance", "labels", header=True))


@pytest.mark.parametrize(
    ("name", "content", "number", "problem"),
    [
        ("a.tsv", b"one\tx\ntwo\nthree\ty\n", 2, "1 column instead of 2"),
        ("a.tsv", b"one\tx\nt\xffwo\ty\nthree\ty\n", 2, "UTF-8"),
        ("a.csv", b'"one",x\n"two\nlines",y,z\n"three",y\n', 2, "3 columns instead of 2"),
        ("a.csv", b"one,x\nt\xffwo,y\nthree,y\n", 2, "UTF-8"),
        ("a.tsv", b"one\tx\n\nwrong\nthree\ty\n\n", 3, "1 column instead of 2"),
        (
            "a.jsonl",
            b'{"text": "one", "label": "x"}\n{"text": \n{"text": "three", "label": "y"}\n',
            2,
            "not valid JSON",
        ),
        ("a.jsonl", b'{"text": "one", "label": "x"}\n[1]\n{"text": "three", "label": "y"}\n', 2, "not a JSON object"),
        (
            "a.jsonl",
            b'{"text": "one", "label": "x"}\n{"txt": "2"}\n{"text": "three", "label": "y"}\n',
            2,
            'has no "text"',
        ),
    ],
)
def test_a_broken_row_is_named_and_the_rest_is_read(
    tmp_path: Path, name: str, content: bytes, number: int, problem: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    rows = read(path)
    (bad,) = [row for row in rows if isinstance(row, BadRow)]
    assert bad.number == number and problem in bad.problem
    assert [row.text for row in rows if isinstance(row, Row)] == ["one", "three"]


def test_a_tsv_keeps_quotes_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('"unbalanced quote\tx\nnext\ty\n', "utf-8")
    assert [row.text for row in read(path) if isinstance(row, Row)] == ['"unbalanced quote', "next"]


EXPORTED = 'Nachricht\tKategorie\r\n"eins\r\n\r\nmit ""Gruß"""\tA\r\nzwei\tB\r\n"drei\nvier"\tA\r\n\r\n'


@pytest.mark.parametrize(("name", "encoding"), [("a.txt", "utf-16"), ("a.tsv", "utf-8"), ("a.txt", "utf-8-sig")])
def test_a_spreadsheet_quotes_cells_with_line_breaks_in_a_file_with_tabs_too(
    name: str, encoding: str, tmp_path: Path
) -> None:
    path, layout = tmp_path / name, Layout(keep_columns=True)
    path.write_bytes(EXPORTED.encode(encoding))
    assert "cells in quotes" in understand(path, layout).notes
    rows = [row for row in read_rows(path, layout) if isinstance(row, Row)]
    assert [(row.text, row.label) for row in rows] == [
        ('eins\r\n\r\nmit "Gruß"', "A"), ("zwei", "B"), ("drei\nvier", "A"),
    ]  # fmt: skip
    copy = tmp_path / f"copy-{name}"
    with format_of(copy).write(copy, ["Nachricht", "Kategorie"], like=(path, layout)) as write:
        for row in rows:
            write(row.cells)
    assert [row.text for row in read_rows(copy, layout) if isinstance(row, Row)] == [row.text for row in rows]
    # Past what is looked at, a quote is what it is in published tables, and the message says what to do.
    path.write_bytes(("Nachricht\tKategorie\r\n" + "x\tA\r\n" * 1500 + '"drei\r\nvier"\tA\r\n').encode(encoding))
    bad = [row.problem for row in read_rows(path, Layout()) if isinstance(row, BadRow)]
    assert len(bad) == 1 and bad[0].endswith("if quotes enclose cells with line breaks, rename the file to .csv")


def test_a_quote_that_is_never_closed_makes_no_quoted_file_either(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"play it\tmusic\nno label\n' + "again\tmusic\n" * 2_000, "utf-8")
    rows = [row for row in read_rows(path, Layout()) if isinstance(row, Row)]
    assert len(rows) == 2_001 and rows[0].text == '"play it'


def test_a_hint_for_spreadsheets_may_name_a_tab(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("sep=\t\ntext\tlabel\nplay it\tmusic\n", "utf-8")
    rows = [row for row in read_rows(path, Layout()) if isinstance(row, Row)]
    assert [(row.text, row.label) for row in rows] == [("play it", "music")]


def test_one_bad_row_makes_no_quoted_file_of_a_published_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"play" it\tmusic\nno label\n"again"\tmusic\n', "utf-8")
    rows = list(read_rows(path, Layout()))
    assert [row.text for row in rows if isinstance(row, Row)] == ['"play" it', '"again"']


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xef\xbb\xbfone\tx\r\ntwo\ty\r\n")
    assert [(row.text, row.label) for row in read(path) if isinstance(row, Row)] == [("one", "x"), ("two", "y")]


def test_a_value_with_tabs_stays_one_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    with format_of(path).write(path, ["text", "label"]) as write:
        write({"text": "a\tb\nc", "label": "x"})
    (row,) = read(path)
    assert isinstance(row, Row) and row.text == "a b c"


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(FormatUnknown, match=r"data\.xls.*\.parquet.*\.tsv"):
        format_of(tmp_path / "data.xls")


def test_a_file_that_is_not_parquet_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"text,label\n")
    with pytest.raises(DataError, match="not a Parquet file"):
        read(path)


def test_gzip_output_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    contents = []
    for name in ("a.tsv.gz", "b.tsv.gz"):
        with format_of(tmp_path / name).write(tmp_path / name, ["text"]) as write:
            write({"text": "same"})
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert gzip.decompress(contents[0]) == b"text\nsame\n"


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
def test_reading_needs_a_fraction_of_the_file_in_memory(tmp_path: Path, suffix: str) -> None:
    path, count = tmp_path / f"data{suffix}", 60_000
    with format_of(path).write(path, ["text", "label"]) as write:
        for number in range(count):
            write({"text": f"utterance number {number} " + "with some more words " * 5, "label": "x"})
    format_of(path)
    tracemalloc.start()
    assert sum(1 for _ in format_of(path).read(path, Layout())) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    plain = count * 130
    assert peak < plain / 2, f"{peak:,} bytes for {plain:,} bytes of text"


def test_every_registered_format_names_its_suffixes() -> None:
    for name in registry.names("formats"):
        suffixes = registry.load("formats", name).suffixes
        assert suffixes and all(suffix.startswith(".") for suffix in suffixes)


@pytest.mark.parametrize("row", [b'"stray', b'"a" b,y', b'"' + b"w" * 2_000_000 + b'",y'])
def test_a_csv_row_that_is_lost_says_so_and_swallows_nothing(tmp_path: Path, row: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"one,x\n" + row + b"\nthree,y\nfour,z\n")
    rows = read(path)
    assert [row.text for row in rows if isinstance(row, Row)] == ["one", "three", "four"]
    assert [row.number for row in rows if isinstance(row, BadRow)] == [2]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_header_is_never_taken_for_data(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with format_of(path).write(path, ["id", "message"]) as write:
        write({"id": 1, "message": "hello"})
    for layout in (Layout("mesage", None), Layout("note", None), Layout("mesage", "id")):
        with pytest.raises(DataError, match=r"no column .*the columns are id, message"):
            read(path, layout)
    found = read(path, Layout("text", None, header=False))
    assert [row.text for row in found if isinstance(row, Row)] == ["id", "1"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv.gz", b"not gzip"),
        ("a.csv.gz", gzip.compress(b"one,x\n" * 1000, mtime=0)[:-20]),
        ("a.parquet.gz", b"x"),
        ("a.jsonl.GZ", b"x"),
    ],
)
def test_a_file_that_is_broken_as_a_whole_is_one_error(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))):
        list(read_rows(path, Layout()))


def test_json_that_nests_too_deep_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"[" * 100_000 + b'\n{"text": "a", "label": "x"}\n')
    bad, good = read(path)
    assert isinstance(bad, BadRow) and isinstance(good, Row)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("where is it;delivery", "if semicolons separate them, pass --delimiter ';'"),
        ("where is it", "columns are separated by commas"),
    ],
)
def test_a_row_with_another_delimiter_says_which_one_is_needed(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\n{line}\n", "utf-8")
    [row] = read(path)
    assert isinstance(row, BadRow) and row.problem.startswith("has 1 column instead of 2; ") and said in row.problem


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'id,text,label,id,\n7,"a, b",x,8,\n9,"say ""hi""",y,1,z\n'),
        ("t.csv", "hello,x\nworld,y\n"),
        ("t.tsv", "id\ttext\tlabel\n1\tdouble  space \tx\n2\tb\t\n"),
        ("t.tsv.gz", "hello\tx\nworld\ty\n"),
        ("t.jsonl", '{"id": 1, "label": ["x"], "text": "é"}\n{"text": "b", "label": "y", "more": {"a": [1, null]}}\n'),
    ],
)
def test_rows_with_all_their_columns_are_written_as_they_were(name: str, content: str, tmp_path: Path) -> None:
    source, copy, layout = tmp_path / name, tmp_path / f"copy.{name}", Layout(keep_columns=True)
    with open_write(source) as stream:
        stream.write(content)
    rows = [row for row in read_rows(source, layout) if isinstance(row, Row)]
    assert rows
    with format_of(source).write(copy, list(rows[0].cells), like=(source, layout)) as write:
        for row in rows:
            write(row.cells)
    with open_read(copy) as stream:
        assert stream.read() == content


def test_bad_rows_can_be_copied_byte_by_byte(tmp_path: Path) -> None:
    for name, content in (
        ("t.csv", b'text,label\na,x\nonly one\n"a,b",c,d\n\xff\xfe,x\n'),
        ("t.tsv", b"a\tx\nonly one\n\xff\ty\n"),
        ("t.jsonl", b'{"text": "a", "label": "x"}\nnot json\n[1]\n{"text": "\xff"}\n'),
    ):
        source, layout = tmp_path / name, Layout(keep_columns=True)
        source.write_bytes(content)
        with format_of(source).write(tmp_path / f"copy.{name}", ("text", "label"), like=(source, layout)) as write:
            for row in read_rows(source, layout):
                write(row.cells if isinstance(row, Row) else str(row.raw))
        assert (tmp_path / f"copy.{name}").read_bytes() == content


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    types = arrow.schema([("id", arrow.int32()), ("text", arrow.string()), ("label", arrow.list_(arrow.string()))])
    rows = [{"id": 1, "text": "a", "label": ["x"]}, {"id": None, "text": "b", "label": []}]
    source, copy, layout = tmp_path / "t.parquet", tmp_path / "copy.parquet", Layout(keep_columns=True)
    parquet.write_table(arrow.Table.from_pylist(rows, schema=types), source)
    with format_of(source).write(copy, types.names, like=(source, layout)) as write:
        for row in read_rows(source, layout):
            assert isinstance(row, Row)
            write(row.cells)
    assert parquet.read_table(copy).equals(parquet.read_table(source))


def test_a_damaged_parquet_file_is_an_error_of_data(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    table = pyarrow.table({"text": [f"text {number % 7}" for number in range(300)], "label": ["a", "b"] * 150})
    pyarrow.parquet.write_table(table, path)
    content, damaged = path.read_bytes(), 0
    for position in range(4, len(content), 3):
        path.write_bytes(content[:position] + b"\xff\xff" + content[position + 2 :])
        try:
            list(read_rows(path, Layout()))
        except DataError:
            damaged += 1
    assert damaged > 100
