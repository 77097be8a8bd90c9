"""Reviewed texts go back into the table of a person: as it is written, and nothing else in it changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from purport.cli.main import app
from purport.data.formats import Layout
from purport.data.reading import Reading
from purport.errors import DataError, OutputExists
from purport.labels import Task
from purport.ui.gathering import labelled, texts_of
from purport.ui.ledger import REVIEW, Ledger
from purport.ui.merging import Labelled, Merged, merge
from purport.ui.picking import pick

OWN = (
    "Nr;Datum;Frage;Kategorie;Kanal;Notiz;Ort\r\n"
    '1;1.2.2025;Wann fährt der Bus?;bus;mail;"für; später";Köln\r\n'
    "2;2.2.2025;Wo ist das Bad?;bus;tel;;Ulm\r\n"
    "3;3.2.2025;Und sonst?;;tel;;Ulm\r\n"
)
NEW = [
    Labelled("Wo ist  das Bad?", ("bad",)),
    Labelled("Wann fährt der Bus?", ("bus",)),
    Labelled("Müll", ("Müllabfuhr", "bus")),
    Labelled("Hä", ()),
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.csv"
    path.write_bytes(OWN.encode("cp1252"))
    return path


def reading(encoding: str | None = "cp1252") -> Reading:
    return Reading(layout=Layout("Frage", "Kategorie", encoding=encoding), unlabelled="out_of_scope")


def test_the_table_keeps_its_columns_encoding_and_all_other_rows(own: Path, tmp_path: Path) -> None:
    assert merge(NEW, own, reading(), tmp_path / "new.csv") == Merged(added=2, corrected=1, kept=1)
    expected = OWN.replace("Bad?;bus", "Bad?;bad") + ";;Müll;Müllabfuhr+bus;;;\r\n;;Hä;;;;\r\n"
    assert (tmp_path / "new.csv").read_bytes().decode("cp1252") == expected
    assert own.read_bytes() == OWN.encode("cp1252")


def test_what_a_bundle_said_corrects_nobody(own: Path, tmp_path: Path) -> None:
    guesses = [Labelled(each.text, each.labels, corrects=False) for each in NEW]
    assert merge(guesses, own, reading(), tmp_path / "new.csv") == Merged(added=2, corrected=0, kept=2)
    assert (tmp_path / "new.csv").read_bytes().startswith(OWN.encode("cp1252"))


def test_a_table_that_is_there_or_cannot_hold_a_text(own: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputExists):
        merge(NEW, own, reading(), own)
    with pytest.raises(DataError, match="cp1252"):
        merge([Labelled("где", ("bus",))], own, reading(), tmp_path / "new.csv")
    assert not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize("suffix", ["jsonl", "tsv"])
def test_other_formats(suffix: str, tmp_path: Path) -> None:
    rows = {"jsonl": '{"text": "a", "label": ["x"], "n": 1}\n', "tsv": "a\tx\n"}
    more = {"jsonl": '{"text": "b", "label": ["y", "z"], "n": null}\n', "tsv": "b\ty+z\n"}
    table, target = tmp_path / f"own.{suffix}", tmp_path / f"new.{suffix}"
    table.write_text(rows[suffix], "utf-8")
    merge([Labelled("b", ("y", "z"))], table, Reading(unlabelled="out_of_scope"), target)
    assert target.read_text("utf-8") == rows[suffix] + more[suffix]


def test_a_queue_goes_into_a_table_on_the_command_line(own: Path, tmp_path: Path) -> None:
    about = {"kind": REVIEW, "task": "multiclass", "labels": ["bus", "bad"]}
    queue = Ledger.create(tmp_path / "q.db", about, [(1, {"text": "Wo ist das Bad?"}), (2, {"text": "offen"})])
    queue.decide({1: 0}, "done", {"labels": ["bad"]}, "ada")
    words = [
        "review",
        str(queue.path),
        "--export",
        str(tmp_path / "new.csv"),
        "--into",
        str(own),
        "--encoding",
        "cp1252",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "0 new rows and 1 corrected row" in done.output, done.output
    assert (tmp_path / "new.csv").read_bytes().decode("cp1252") == OWN.replace("Bad?;bus", "Bad?;bad")


def test_a_table_of_label_is_labelled_by_a_bundle_but_for_what_a_person_corrected(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        "text,labels,confidence,likeliest,in_scope,reason,row,bundle\na,x+y,0.9,x,1,,1,b\nb,z,,x,1,,2,b\nc,,0.7,x,0.3,taught,3,b\n",
        "utf-8",
    )
    assert labelled(tmp_path / "labels.csv") == [
        Labelled("a", ("x", "y"), corrects=False), Labelled("b", ("z",)), Labelled("c", (), corrects=False),
    ]  # fmt: skip


def test_what_label_doubted_is_in_the_queue_although_bundle_and_table_say_none(tmp_path: Path) -> None:
    (tmp_path / "doubtful.csv").write_text(
        "text,labels,confidence,likeliest,in_scope,reason,row,bundle\na,,0.55,x,0.45,taught,1,b\nc,,,x,0.3,taught,3,b\n",
        "utf-8",
    )
    none = {"labels": [], "in_scope": 0.1, "intents": [{"label": "x", "confidence": 0.1}]}
    given, _ = texts_of(tmp_path / "doubtful.csv", Reading(unlabelled="out_of_scope"))
    for bundle in ("b", "another"):
        candidates = [each.candidate(none, None, bundle, 0.8) for each in given]
        picked, left = pick(candidates, Task.MULTICLASS)
        assert [each.candidate.text for each in picked] == ["a"] and left == {"none": 1}
