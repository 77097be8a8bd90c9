"""What the pages of answers say, and how a file is filtered: without a browser."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from typer.testing import CliRunner

from purport import Bundle
from purport.cli.main import app
from purport.errors import OptionInvalid, OthersChange
from purport.prediction import REASONS, Reason
from purport.teaching.flips import Flip
from purport.teaching.teach import _require_few
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.ui import filling
from purport.ui.filling import Filling, Fillings
from purport.ui.forms import Form
from purport.ui.lessons import _chosen, _in_words
from purport.ui.samples import Samples
from purport.ui.sheets import BAD, FLIPS, OUT, UNSURE, Answer, Filter, Sheet
from purport.ui.verdicts import joined, pieces, why_none

LABELS = ("card_lost", "pin")


def test_the_text_is_whole_and_the_strongest_word_has_the_strongest_colour() -> None:
    text = "  my 👩‍👩‍👧 card, น้ำ "
    words = [("my", 0.01, None), ("👩‍👩‍👧", -0.5, None), ("card", 2.0, 0.1), ("น้ำ", -2.0, None)]
    found = [
        {"text": word, "start": text.index(word), "end": text.index(word) + len(word), "weight": weight, "error": error}
        for word, weight, error in words
    ]
    made = pieces({"text": text, "words": found})
    assert "".join(piece.text for piece in made) == text
    shades = {piece.text: piece.shade for piece in made if piece.weight is not None}
    assert shades == {"my": "none", "👩‍👩‍👧": "against-2", "card": "for-5", "น้ำ": "against-5"}
    assert [piece.shown for piece in made if piece.weight is not None] == ["0", "\u22120.5", "+2.0", "\u22122.0"]


def test_labels_are_said_as_people_say_them() -> None:
    assert [joined(each) for each in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "none of its labels", "a", "a and b", "a, b and c",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "several", "said"),
    [
        ({}, True, "Choose the right label first"),
        ({"typed": [""]}, True, "Choose the right label first"),
        ({"label": ["pni"]}, True, 'There is no label "pni". Did you mean "pin"?'),
        ({"label": ["pin", "card_lost"]}, False, "A text has one label here"),
    ],
)
def test_a_lesson_needs_a_label(values: dict[str, list[str]], several: bool, said: str) -> None:
    with pytest.raises(OptionInvalid, match=said.replace("?", r"\?")):
        _chosen(Form(values), LABELS, several=several)


def test_none_of_these_is_a_lesson_and_a_typed_label_counts() -> None:
    assert _chosen(Form({"label": [""]}), LABELS, several=True) == ()
    assert _chosen(Form({"label": ["pin"], "typed": [" card_lost "]}), LABELS, several=True) == ("card_lost", "pin")


def test_a_refused_lesson_says_what_to_tick_and_not_what_to_type() -> None:
    with pytest.raises(OthersChange) as refused:
        _require_few((Flip("hi", 1, ("pin",), ("pin",), ("card_lost",), broken=True),), 0)
    said = _in_words(str(refused.value))
    assert "--allow-flips" not in said and "tick “even if other answers become wrong”" in said and "hi" in said
    assert _in_words("The bundle has no memory.") == "The bundle has no memory."


def test_rows_are_found_by_label_kind_and_confidence(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path / "rows.db")
    sheet.add(
        [("one", {"id": 1}, None), ("two", {"id": 2}, None), (None, {"id": 3}, "has no text"), ("four", {}, None)]
    )
    assert sheet.texts(1, 10) == [(2, "two"), (4, "four")]
    first = [Answer(("pin", "card_lost"), 0.9, 1.0, None), Answer(("pin",), 0.5, 1.0, None), "too long"]
    sheet.answer(0, list(zip((1, 2, 4), first, strict=True)))
    second = [Answer(("card_lost", "pin"), 0.7, 1.0, None), Answer((), 0.4, 0.1, "between_labels")]
    sheet.answer(1, list(zip((1, 2), second, strict=True)))
    sheet.compare()
    assert sheet.counts() == {"all": 4, OUT: 0, "in": 2, UNSURE: 1, BAD: 2, FLIPS: 1}
    assert sheet.labels() == [("pin", 2), ("card_lost", 1)]

    def numbers(chosen: Filter) -> list[int]:
        found = [line.number for line in sheet.lines(chosen)]
        assert sheet.number(chosen) == len(found)
        return found

    assert numbers(Filter()) == [1, 2, 3, 4]
    assert numbers(Filter(label="card_lost")) == [1]
    assert numbers(Filter(kind=FLIPS)) == [2], "the order of labels is no difference"
    assert numbers(Filter(kind=BAD)) == [3, 4]
    assert numbers(Filter(above=0.6)) == [1] and numbers(Filter(below=0.6)) == [2]
    assert numbers(Filter(label="' OR 1=1 --")) == []
    assert [line.text for line in sheet.lines(Filter(), start=1, most=1)] == ["two"]


def test_what_nobody_looks_at_is_deleted_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "_IDLE_S", 1.0)

    async def seen_and_left() -> tuple[bool, bool, float]:
        kept = Fillings(cast(Any, None))
        made = Filling("name", "a.csv", "anna", (), Sheet(tmp_path / "rows.db"))
        kept._all[made.name] = made
        made.last = time.monotonic()  # a visit
        kept._expire(made)
        there = made.sheet.path.exists()
        async with asyncio.timeout(20):
            while made.name in kept._all:
                await asyncio.sleep(0.01)
        return there, made.sheet.path.exists(), time.monotonic() - made.last

    visited, left, after_s = asyncio.run(seen_and_left())
    assert visited and not left and after_s >= 1.0


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(get_args(Reason))
    for reason in (*get_args(Reason), None, "of a newer version"):
        said = why_none({"labels": [], "reason": reason})
        assert said and "_" not in said and said != reason


def test_the_command_line_says_why_no_label_is_decided(linear_bundle: Bundle) -> None:
    for command in ("predict", "explain"):
        said = " ".join(
            CliRunner().invoke(app, [command, str(linear_bundle.path), "good morning everybody"]).output.split()
        )
        assert re.search(f"decided: none \\(out of scope: ({'|'.join(map(re.escape, REASONS.values()))})\\)", said), (
            said
        )


def test_examples_to_click_are_texts_of_the_bundle_or_none(linear_bundle: Bundle, tmp_path: Path) -> None:
    assert asyncio.run(Samples().of(linear_bundle)) == (), "it keeps no texts, and others would be foreign to it"
    rows = [(f"vorrei {what} per {thing}", what) for what in ("un rimborso", "la fattura") for thing in "abcdefghijkl"]
    table = tmp_path / "it.csv"
    table.write_text("testo,etichetta\n" + "".join(f"{text},{label}\n" for text, label in rows), "utf-8")
    data = {"name": str(table), "valid": 0.2, "keep_examples": True}
    made = train(parse_recipe({"kind": "linear", "task": "multiclass", "data": data}), tmp_path / "bundle")
    assert made is not None
    found = asyncio.run(Samples().of(made))
    assert len(found) == 2 and set(found) <= {text for text, _ in rows}
