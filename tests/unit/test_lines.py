"""An endless line or a quote that is never closed is one bad row, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import io
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from purport.data.formats.encoded import open_read
from purport.data.formats.lines import TOO_LONG, Overlong, lines, quoted_rows

LINE = Overlong.LINE
MIB = 1 << 20

_COUNT = """
import sys
from pathlib import Path
from purport.data.formats.lines import Overlong, lines, quoted_rows
from purport.data.formats.encoded import open_read

path = Path(sys.argv[1])
with open_read(path) as stream:
    print([len(line) if isinstance(line, str) else "too long" for line in lines(stream)])
with open_read(path) as stream:
    print([number if isinstance(row, list) else "bad" for number, row in quoted_rows(stream, ",")])
"""


def _stream(text: str) -> io.StringIO:
    return io.StringIO(text, newline="")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "text", ["", "a", "a\n", "a\r\nbb\rccc\n\n\r\n\rd", "é\u2028x\x0b\x85y\nz\r", "\r\n" * 5, "\n\r" * 5]
)
def test_lines_are_those_of_the_stream_except_that_long_ones_are_marked(text: str, limit: int) -> None:
    expected = [line if len(line) <= limit else LINE for line in _stream(text)]
    assert list(lines(_stream(text), limit)) == expected


def test_lines_around_an_overlong_one_are_kept() -> None:
    text = "before\n" + "x" * 50 + "\r\nafter\n" + "y" * 60
    assert list(lines(_stream(text), 20)) == ["before\n", LINE, "after\n", LINE]


@pytest.mark.parametrize("text", ["a,b\n", 'a,"b\nc\r\nd"\ne,f', '"a ""q"" b",c\n\n,\n', "", "\r\na,b\r\nc,d"])
def test_quoted_rows_are_those_of_the_csv_module(text: str) -> None:
    expected = [row or [""] for row in csv.reader(_stream(text), strict=True)]
    assert [row for _, row in quoted_rows(_stream(text), ",")] == expected


def test_a_row_has_the_number_of_its_first_line() -> None:
    assert list(quoted_rows(_stream('a,b\n"c\nd",e\nf,g\n'), ",")) == [
        (1, ["a", "b"]),
        (2, ["c\nd", "e"]),
        (4, ["f", "g"]),
    ]


def test_a_stray_quote_costs_its_row_only() -> None:
    found = list(quoted_rows(_stream('a,b\n"c"x,d\ne,f\n'), ","))
    assert found[0] == (1, ["a", "b"]) and found[2] == (3, ["e", "f"])
    assert found[1][0] == 2 and "quote the cell" in found[1][1]


@pytest.mark.parametrize("rows", [3, 300], ids=["to the end of the file", "beyond the limit"])
def test_a_quote_that_is_never_closed_costs_its_row_only(rows: int) -> None:
    text = 'a,b\n"c,d\n' + "e,f\n" * rows
    found = list(quoted_rows(_stream(text), ",", limit=100))
    assert [number for number, _ in found] == list(range(1, rows + 3))
    assert isinstance(found[1][1], str)
    assert [row for _, row in found[2:]] == [["e", "f"]] * rows


def test_quotes_that_are_never_closed_cost_no_more_than_a_few_readings_of_the_file() -> None:
    began = time.perf_counter()
    rows = 20_000
    # Each line leaves a quote open, whether it begins within one or not: one by one, these take minutes, and more days.
    found = list(quoted_rows(_stream('a","b\n' * rows + "e,f\n"), ","))
    assert time.perf_counter() - began < 60
    said = [re.search(r"; ([\d,]+) lines? after", row) for _, row in found if isinstance(row, str)]
    left_out = sum(int(each[1].replace(",", "")) for each in said if each)
    assert len(found) + left_out == rows + 1, "no line is lost without a word"


def test_an_overlong_line_inside_a_quoted_cell_is_a_bad_row_of_its_own() -> None:
    text = 'a,b\n"c\n' + "x" * 200 + "\nd,e\n"
    found = list(quoted_rows(_stream(text), ",", limit=100))
    assert [(number, row if isinstance(row, list) else "bad") for number, row in found] == [
        (1, ["a", "b"]), (2, "bad"), (3, "bad"), (4, ["d", "e"]),
    ]  # fmt: skip
    assert found[1][1] == TOO_LONG


def test_a_cell_beyond_the_limit_of_the_csv_module_is_read() -> None:
    assert next(quoted_rows(_stream("a," + "x" * 140_000 + "\n"), ",")) == (1, ["a", "x" * 140_000])


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip bomb"])
def test_a_line_of_300_megabytes_is_skipped_in_bounded_memory(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("long.csv.gz" if packed else "long.csv")
    with gzip.open(path, "wb", 1) if packed else path.open("wb") as file:
        file.write(b"good,row\n")
        file.write(b"x" * MIB)
        if packed:
            for _ in range(300):
                file.write(b"x" * MIB)
        else:
            file.write(b"x" * MIB)
            file.seek(300 * MIB)  # what is left out takes no room on the disk
        file.write(b"\ngood,row\n")

    def limit_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (200 * MIB, 200 * MIB))

    found = subprocess.run(
        [sys.executable, "-c", _COUNT, path], preexec_fn=limit_memory, capture_output=True, text=True, check=False
    )
    assert found.stdout.splitlines() == ["[9, 'too long', 9]", "[1, 'bad', 3]"], found.stderr[-500:]


def test_reading_a_gzip_file_skips_what_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"x" * (3 * MIB) + b"\nb\n"))
    with open_read(path) as stream:
        assert list(lines(stream)) == ["a\n", LINE, "b\n"]
