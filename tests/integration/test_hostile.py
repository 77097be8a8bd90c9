"""Texts and labels from anywhere go into pages, cards, plans, tables and the terminal, and do no harm there."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from purport import load_dataset
from purport.data.formats import Layout, Row, read_rows

LABELS = (
    "pays $5 or $10",
    "=cmd|' /C calc'!A1",
    "<script>alert(1)</script>",
    "`code` | pipe",
    "\x1b[31mred\x1b[0m \x9b2J",
    "\u202eesrever",
    "a\x00b\x07c\x0cd",
    "two\nlines\tand a tab",
    "]]></style>&amp;",
    "\\frac{$x$}{_y_}",
    "@import",
    "-1",
)
WORDS = (
    "parcel",
    "invoice",
    "garden",
    "bicycle",
    "coffee",
    "mountain",
    "paper",
    "window",
    "bottle",
    "pencil",
    "river",
    "clock",
)
ENDS = ("please", "today", "now", "again", "for me", "quickly", "at home", "at work")
# What a terminal or a page must never get, but tabs and line breaks.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def rows(start: int = 0) -> list[dict[str, str]]:
    """Eight texts a label; each begins with its label, which is also a hostile text."""
    return [
        {"text": f"{label} the {word} {ENDS[(end + start) % 8]} {start}", "label": label}
        for label, word in zip(LABELS, WORDS, strict=True)
        for end in range(8)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with a hostile name, and a bundle that was trained on it."""
    work = tmp_path_factory.mktemp("hostile")
    data = work / "x\x1b[31m\u202ey"
    data.mkdir()
    for name, start in (("train", 0), ("valid", 3), ("test", 5)):
        lines = [json.dumps(row) for row in rows(start)]
        if name == "train":  # a label error and a repeated text, so that there is a plan
            lines += [json.dumps({**rows()[0], "label": LABELS[1]}), json.dumps(rows()[9])]
        (data / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    recipe = (
        'kind = "linear"',
        'task = "multiclass"',
        "[data]",
        f"name = {json.dumps(str(data))}",
        'valid = "valid"',
        'test = "test"',
    )
    (work / "recipe.toml").write_text("\n".join(recipe) + "\n[decide]\nreject_below = 0.0\n")
    run(work, "train", "recipe.toml", "--out", "bundle")
    return work


def run(work: Path, *args: str, code: tuple[int, ...] = (0,)) -> str:
    """What a command prints; it is checked for what a terminal would act on."""
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    command = [sys.executable, "-m", "purport", *args]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, check=False)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode in code, said
    assert not CONTROL.search(said), CONTROL.findall(said)
    assert "Traceback" not in said
    return said


def check_page(directory: Path) -> None:
    """HTML without scripts or control characters, figures that are XML, facts that are JSON."""
    html = (directory / "index.html").read_text("utf-8")
    assert not CONTROL.search(html) and "<script" not in html and "]]></style>" not in html
    assert json.loads((directory / "facts.json").read_text("utf-8"))
    figures = sorted((directory / "figures").glob("*.svg"))
    for figure in figures:
        ET.parse(figure)
        assert not CONTROL.search(figure.read_text("utf-8"))
        assert figure.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert figures and not list(directory.glob(".partial-*"))


def test_exploring(folder: Path) -> None:
    run(folder, "explore", "x\x1b[31m\u202ey", "--output", "explored")
    check_page(folder / "explored")


def test_the_doctor_and_its_plan(folder: Path) -> None:
    run(folder, "doctor", "x\x1b[31m\u202ey", "--output", "examined", "--fix-plan", "fixes.csv", code=(0, 1))
    check_page(folder / "examined")
    plan = (folder / "fixes.csv").read_text("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(plan, newline="")) for cell in row]
    assert len(cells) > 10 and not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    run(folder, "doctor", "apply", "fixes.csv", "x\x1b[31m\u202ey", "--output", "fixed")
    before, after = (load_dataset(folder / name)["test"] for name in ("x\x1b[31m\u202ey", "fixed"))
    assert [(row.text, row.labels) for row in after] == [(row.text, row.labels) for row in before]


def test_evaluating_and_comparing(folder: Path) -> None:
    run(folder, "evaluate", "bundle", "test", "--report", "report", "--resamples", "20")
    check_page(folder / "report")
    assert "pays $5 or $10" in "".join(ET.parse(folder / "report/figures/f1-per-label.svg").getroot().itertext())
    run(folder, "compare", "bundle", "bundle", "--output", "compared", "--resamples", "20")
    check_page(folder / "compared")


def test_the_card(folder: Path) -> None:
    card = (folder / "bundle/README.md").read_text("utf-8")
    assert not CONTROL.search(card)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", card)
    assert "<script" not in outside.replace("\\<", "") and "\n<" not in card
    tables = [line for line in card.splitlines() if line.startswith("| `") and "F1" not in line]
    assert len(tables) >= len(LABELS)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {7}, "a label does not end its cell"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_answers(folder: Path, suffix: str) -> None:
    source = folder / "questions.jsonl"
    source.write_text(
        "".join(json.dumps({"text": row["text"], "score": "-0.50", "id": "=1+1"}) + "\n" for row in rows())
    )
    run(folder, "predict", "bundle", "--input", source.name, "--output", f"answers.{suffix}")
    if suffix in ("csv", "tsv"):
        with (folder / f"answers.{suffix}").open(encoding="utf-8", newline="") as stream:
            quoting = csv.QUOTE_NONE if suffix == "tsv" else csv.QUOTE_MINIMAL
            found = list(csv.DictReader(stream, delimiter="\t" if suffix == "tsv" else ",", quoting=quoting))
        for cells in found:
            assert cells["score"] == "-0.50" and cells["id"] == "'=1+1" and float(cells["confidence_1"]) <= 1
            for name in ("text", "labels", "label_1"):
                assert not cells[name].startswith(("=", "+", "-", "@", "\t", "\r"))
    read = list(read_rows(folder / f"answers.{suffix}", Layout(label_column="label_1")))
    assert all(isinstance(row, Row) for row in read)
    folded = [re.sub(r"[\t\r\n]+", " ", row["text"]) if suffix == "tsv" else row["text"] for row in rows()]
    assert [row.text for row in read if isinstance(row, Row)] == folded
    labels = {re.sub(r"[\t\r\n]+", " ", label) if suffix == "tsv" else label for label in LABELS}
    assert {row.label for row in read if isinstance(row, Row)} <= labels


def test_the_terminal(folder: Path) -> None:
    texts = [row["text"].replace("\x00", "") for row in rows()[::8]]
    said = run(folder, "predict", "bundle", "--", *texts)
    assert "\\x1b[31mred" in said and "\\u202e" in said
    for line, text in zip(run(folder, "predict", "bundle", "--json", "--", *texts).splitlines(), texts, strict=True):
        assert json.loads(line)["text"] == text, "nothing is lost in JSON"
    run(folder, "data", "x\x1b[31m\u202ey")
    run(folder, "data", "no\x1b[2Jfile\u202e", code=(66,))
    run(folder, "predict", "no\x1b[2Jbundle", "x", code=(66,))
