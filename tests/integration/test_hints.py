"""A bundle that was trained on a table of another shape does not garble the next one: what the file shows counts."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from purport import Bundle
from purport.cli.main import app
from purport.cli.tables import TableOptions, typed
from purport.data.dataset import file_split
from purport.data.formats.delimited import CSV
from purport.data.hints import Hints, NotLabels
from purport.data.spec import DataSpec
from purport.labels import Task
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.ui.encodings import EncodingUnclear
from purport.ui.forms import File
from purport.ui.gathering import export
from purport.ui.given_rows import read_into
from purport.ui.jobs import _read
from purport.ui.ledger import Ledger
from purport.ui.merging import Labelled, merge_for
from purport.ui.own_table import merged
from purport.ui.sheets import Sheet

ASKED = {
    "Kündigung": ("ich möchte {} kündigen", "{} bitte beenden", "Kündigung für {}", "ich will aus {} heraus"),
    "Rechnung falsch": ("{} ist zu hoch berechnet", "falscher Betrag für {}", "Rechnung über {} prüfen"),
    "Umzug": ("ich ziehe um mit {}", "neue Adresse für {}", "Umzug nach Köln mit {}"),
}
THINGS = ("Strom", "Gas", "Internet", "Telefon", "Wasser", "Wärme", "den Tarif", "das Paket")
BOTH = "Rechnung falsch,Umzug"
ROWS = [(say.format(thing), label) for label, says in ASKED.items() for say in says for thing in THINGS]
ROWS += [(f"neue Adresse für {thing} und falscher Betrag", BOTH) for thing in THINGS]
ROWS += [(f"wer gewinnt heute {thing}", "Sonstiges") for thing in THINGS]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As an old office program saves it."""
    path = tmp_path_factory.mktemp("hints") / "training.csv"
    lines = ["Nr;Geschrieben;Anliegen;Kategorie", *(f"{n};{text};{label};x" for n, (text, label) in enumerate(ROWS))]
    path.write_text("\r\n".join(lines) + "\r\n", "cp1252")
    return path


@pytest.fixture(scope="module")
def bundle(table: Path) -> Bundle:
    data = {
        "name": str(table), "text_column": "Geschrieben", "label_column": "Anliegen", "label_delimiter": ",",
        "encoding": "cp1252", "out_of_scope": ["Sonstiges"], "valid": 0.2,
    }  # fmt: skip
    recipe = parse_recipe({"kind": "linear", "task": "multilabel", "data": data})
    return Bundle.open(train(recipe, table.parent / "bundle").path)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command that must end well; what it said, on one line."""

    def run(*words: str | Path) -> str:
        done = CliRunner().invoke(app, [*map(str, words)])
        assert done.exit_code == 0, (done.output, done.exception)
        return " ".join(done.output.split())

    return run


def written(path: Path, header: str, rows: list[tuple[str, str]], encoding: str = "utf-8") -> Path:
    delimiter = ";" if ";" in header else ","
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([header.split(delimiter), *rows])
    return path


def labels_of(bundle: Bundle, path: Path, **named: object) -> list[tuple[str, ...]]:
    reading = Hints.of(bundle).reading(DataSpec.model_validate({"name": "", **named}))
    return [example.labels for example in file_split("", path, reading)]


def test_a_table_in_utf8_teaches_no_garbled_label(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    six = written(tmp_path / "six.csv", "text,label", [(f"macht Schluss mit {each}", "Kündigung") for each in THINGS])
    said = run("teach", bundle.path, six, "--label-column", "label", "--out", tmp_path / "taught", "--allow-flips", 99)
    assert "taught 8 examples" in said and "new label" not in said
    assert set(Bundle.open(tmp_path / "taught").manifest.labels) == set(ASKED)
    assert 'six.csv: with a header; texts from "text", labels from "label"' in said
    assert "UTF-8; the training table had cp1252" in said


def test_a_table_in_utf8_is_measured_as_what_it_says(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    rows = [row for row in ROWS if row[1] in ASKED]
    new = written(tmp_path / "neu.csv", "Nachricht;Anliegen", rows)
    said = run("evaluate", bundle.path, new, "-o", tmp_path / "found.json")
    assert "were training rows of this bundle" in said
    assert set(json.loads((tmp_path / "found.json").read_text("utf-8"))["labels"]) == set(ASKED)
    assert "UTF-8; the training table had cp1252" in said and "warning: the label" not in said
    said = run("compare", bundle.path, bundle.path, "--data", new, "--gate", "f1_micro>=0", "-o", tmp_path / "page")
    assert "UTF-8; the training table had cp1252" in said
    assert set(json.loads((tmp_path / "page" / "facts.json").read_text("utf-8"))["labels"]) == set(ASKED)


def test_a_garbled_or_joined_label_is_named(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    new = written(tmp_path / "neu.csv", "text,label", [("weg damit", "Kündigung"), ("beides", "Umzug/Kündigung")])
    said = run("evaluate", bundle.path, new, "--encoding", "cp1252")
    assert 'the label "KÃ¼ndigung" looks like "Kündigung" read in a wrong encoding' in said
    said = run("evaluate", bundle.path, new, "--label-delimiter", ",")
    assert 'the label "Umzug/Kündigung" looks like several labels of the bundle; if it is, pass' in said
    assert run("evaluate", bundle.path, new).count("looks like") == 0, "the labels say what stands between them"


def test_the_training_table_is_reviewed_with_its_labels(bundle: Bundle, table: Path, tmp_path: Path, run: Run) -> None:
    said = run("review", table, "--with", bundle.path, "--below", 1, "--out", tmp_path / "queue.db")
    assert 'labels from "Anliegen"' in said and "not used: Nr, Kategorie" in said
    contents = [each.content for each in Ledger(tmp_path / "queue.db").entries()]
    assert {frozenset(each["labels"]) for each in contents} <= {
        frozenset(), *(frozenset([label]) for label in ASKED), frozenset(BOTH.split(","))
    }  # fmt: skip
    wrong = [(text, "Umzug" if label == "Kündigung" else label) for text, label in ROWS]
    disputed = written(tmp_path / "wrong.csv", "Geschrieben;Anliegen", wrong, "cp1252")
    said = run("review", disputed, "--with", bundle.path, "--out", tmp_path / "disputed.db")
    assert Ledger(tmp_path / "disputed.db").about["why"]["label"] > 10


def test_labels_that_a_command_has_joined_are_read_as_several(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    texts = written(tmp_path / "texts.csv", "text,id", [(text, "1") for text, label in ROWS if label == BOTH])
    run("label", texts, "--with", bundle.path, "--output", tmp_path / "labelled.csv")
    assert BOTH in (tmp_path / "labelled.csv").read_text("utf-8")
    run("review", tmp_path / "labelled.csv", "--with", bundle.path, "--below", 1, "--out", tmp_path / "queue.db")
    about = Ledger(tmp_path / "queue.db").about
    assert about["labels"] == sorted(ASKED)
    assert labels_of(bundle, tmp_path / "labelled.csv")[0] == tuple(BOTH.split(","))


def test_the_hints_of_label_run_as_they_are_printed(
    bundle: Bundle, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = written(tmp_path / "texts.csv", "text,id", [(f"{text} heute", "1") for text, _ in ROWS[::4]])
    done = CliRunner().invoke(app, ["label", str(texts), "--with", str(bundle.path), "--output", "labelled.csv"])
    commands = [shlex.split(line)[1:] for line in re.findall(r"(?<=: )purport .*", done.output)]
    assert [words[0] for words in commands] == ["review", "train", "train"], done.output
    assert "corrected" in run(*commands[0]), "into the table of the bundle, as it is written"
    assert (tmp_path / "both.csv").read_bytes().decode("cp1252").startswith("Nr;Geschrieben;Anliegen;Kategorie\r\n")
    for words in commands[1:]:
        run(*words)
        assert set(Bundle.open(tmp_path / words[words.index("--out") + 1]).manifest.labels) <= set(ASKED)


def test_a_hint_names_a_tab_by_its_name() -> None:
    spec = DataSpec(name="x.csv", delimiter="\t")
    words = typed(spec, but="label_delimiter")
    assert words == ["--delimiter", "tab"], "a terminal shows a tab as spaces, which are another delimiter"
    assert TableOptions(delimiter=words[1]).spec(name="x.csv") == spec


def test_where_no_text_gets_a_label_there_is_nothing_to_train_on(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    texts = written(tmp_path / "texts.csv", "text,id", [("wer gewinnt heute", "1"), ("qwxz", "2")])
    said = run("label", texts, "--with", bundle.path, "--output", tmp_path / "labelled.csv")
    assert "no row has a label, so that there is nothing to train on" in said and "purport train" not in said


def test_review_says_which_columns_of_label_it_uses(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    texts = written(tmp_path / "texts.csv", "text,id", [(text, "1") for text, _ in ROWS[:9]])
    run("label", texts, "--with", bundle.path, "--output", tmp_path / "labelled.csv")
    said = run("review", tmp_path / "labelled.csv", "--with", bundle.path, "--below", 1, "--out", tmp_path / "queue.db")
    assert "also used: confidence, bundle; not used: likeliest, in_scope, reason, row" in said
    assert "also used" not in run("review", texts, "--with", bundle.path, "--below", 1, "--out", tmp_path / "other.db")


def test_the_empty_rows_at_the_end_of_an_export_are_no_bad_rows(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    texts = written(
        tmp_path / "texts.csv", "Nachricht;Datum", [(text, "1.2.") for text, _ in ROWS[:9]] + [("", "")] * 3
    )
    said = run("review", texts, "--with", bundle.path, "--below", 1, "--out", tmp_path / "queue.db")
    assert "9 texts read; to review" in said, "no rows that cannot be used"


@pytest.mark.parametrize("delimiter", ["+", ";", "|", ", "])
def test_what_stands_between_labels_is_seen_from_them(delimiter: str, bundle: Bundle, tmp_path: Path) -> None:
    joined = delimiter.join(("Umzug", "Kündigung"))
    path = written(tmp_path / "rows.csv", "text,label", [("beides", joined), ("eins", "Umzug"), ("C++ neu", "Umzug")])
    assert labels_of(bundle, path) == [("Kündigung", "Umzug"), ("Umzug",), ("Umzug",)]
    assert labels_of(bundle, path, label_delimiter="")[0] == (joined,), "what is named wins"


def test_what_was_exported_can_be_taught(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    about = {"kind": "review", "title": "t", "labels": sorted(ASKED), "task": "multilabel"}
    contents = [("", {"text": f"Ärger mit {each}"}) for each in THINGS]
    ledger = Ledger.create(tmp_path / "queue.db", about, contents)
    for entry in ledger.entries():
        ledger.decide({entry.id: entry.version}, "done", {"labels": ["Umzug", "Kündigung"]}, "me")
    assert export(ledger, tmp_path / "reviewed.csv") == len(THINGS)
    said = run(
        "teach", bundle.path, tmp_path / "reviewed.csv", "--out", tmp_path / "taught", "--allow-flips", 99
    )  # fmt: skip
    assert f"taught {len(THINGS)} examples" in said and "new label" not in said


def test_a_joint_label_is_that_of_the_bundle_whatever_joins_it(tmp_path: Path) -> None:
    spec = DataSpec(name="", joint=True)
    hints = Hints(spec, frozenset({"a+b", "a", "b"}), Task.MULTICLASS)
    path = written(tmp_path / "rows.csv", "text;label", [("beides", "b,a"), ("eins", "a")])
    found = file_split("", path, hints.reading(DataSpec(name="")))
    assert [example.labels for example in found] == [("a+b",), ("a",)]


def test_a_table_without_a_header_that_fits_two_delimiters_has_that_of_the_training_table(tmp_path: Path) -> None:
    hints = Hints(DataSpec(name="", delimiter=";", header=False), frozenset({"a", "b"}), Task.MULTILABEL)
    path = tmp_path / "rows.csv"
    path.write_text("hello, you;a\nbye, now;b\n", "utf-8")
    found = list(file_split("", path, hints.reading(DataSpec(name=""))))
    assert [(each.text, each.labels) for each in found] == [("hello, you", ("a",)), ("bye, now", ("b",))]


def test_what_is_not_utf8_has_the_encoding_of_the_training_table(bundle: Bundle, tmp_path: Path) -> None:
    old = written(tmp_path / "old.csv", "Text;Anliegen", [("für mich", "Kündigung")], "cp1252")
    assert labels_of(bundle, old) == [("Kündigung",)]
    marked = written(tmp_path / "marked.csv", "Text;Anliegen", [("für mich", "Kündigung")], "utf-16")
    assert labels_of(bundle, marked) == [("Kündigung",)]


def test_columns_are_those_that_are_there(bundle: Bundle, tmp_path: Path) -> None:
    both = written(tmp_path / "both.csv", "text,label,Anliegen", [("a", "Umzug", "Kündigung")])  # type: ignore[list-item]
    assert labels_of(bundle, both) == [("Kündigung",)], "the column of the training table, where it is there"
    assert labels_of(bundle, both, label_column="label") == [("Umzug",)]
    bare = tmp_path / "bare.csv"
    bare.write_text("Gas, bitte,Umzug\n".replace(", ", " ") * 3, "utf-8")
    assert labels_of(bundle, bare) == [("Umzug",)] * 3, "no header"


def test_a_dropped_table_is_read_in_the_encoding_of_the_bundle(bundle: Bundle, table: Path, tmp_path: Path) -> None:
    given, bad = _read(File("Ablage.csv", table.read_bytes()), Hints.of(bundle), None)
    assert not bad and [each.text for each in given] == [text for text, _ in ROWS]
    assert given[-1].labels == (), "Sonstiges means that none applies"
    copy, sheet = tmp_path / "copy.csv", Sheet(tmp_path / "sheet.db")
    copy.write_bytes(table.read_bytes())
    layout = DataSpec(name="").reading(bundle.manifest.task).layout
    columns, number, written_so = read_into(copy, "Ablage.csv", layout, Hints.of(bundle), sheet, 1 << 20)
    assert columns == ("Nr", "Geschrieben", "Anliegen", "Kategorie") and number == len(ROWS)
    assert written_so == replace(CSV, delimiter=";", encoding="utf-8-sig"), "Excel reads the answers, too"


def test_where_nobody_knows_the_encoding_the_person_is_asked(linear_bundle: Bundle, table: Path) -> None:
    hints, file = Hints.of(linear_bundle), File("Ablage.csv", table.read_bytes().replace(b"Geschrieben", b"Text"))
    with pytest.raises(EncodingUnclear, match=r"^Ablage\.csv was not saved as UTF-8") as asked:
        _read(file, hints, None)
    assert ("cp1252", "Western European: möchte") in asked.value.choices
    given, _ = _read(file, hints, "cp1252")
    assert given[0].text == ROWS[0][0]


def decided(bundle: Bundle, tmp_path: Path, run: Run) -> Path:
    """A queue of three texts, of which one has two labels, one has one, and none applies to two."""
    texts = written(tmp_path / "texts.csv", "text,id", [(f"macht was mit {each}", "1") for each in THINGS[:4]])
    run("review", texts, "--with", bundle.path, "--below", 1, "--all-declined", "--out", tmp_path / "queue.db")
    ledger = Ledger(tmp_path / "queue.db")
    labels = {"Strom": ["Umzug", "Kündigung"], "Gas": ["Umzug"], "Internet": [], "Telefon": []}
    for entry in ledger.entries():
        found = labels[entry.content["text"].rpartition(" ")[2]]
        ledger.decide({entry.id: entry.version}, "done", {"labels": found}, "me")
    return ledger.path


OWN = [("für beides", "Umzug, Kündigung"), ("wer gewinnt", "Sonstiges"), ("macht was mit Telefon", "Umzug")]
MERGED = [
    *OWN[:2], ("macht was mit Telefon", "Sonstiges"), ("macht was mit Gas", "Umzug"),
    ("macht was mit Internet", "Sonstiges"), ("macht was mit Strom", "Kündigung, Umzug"),
]  # fmt: skip


def test_a_table_gets_the_result_as_the_bundle_reads_it(bundle: Bundle, tmp_path: Path, run: Run) -> None:
    queue = decided(bundle, tmp_path, run)
    own = written(tmp_path / "own.csv", "Geschrieben;Anliegen", OWN, "cp1252")
    said = run("review", queue, "--into", own, "--export", tmp_path / "new.csv")
    assert '"," between the labels of a row' in said and "CP1252" in said
    assert '3 new rows and 1 corrected row; 0 texts changed nothing; "Sonstiges" is the label where none' in said
    with (tmp_path / "new.csv").open(encoding="cp1252", newline="") as stream:
        rows = [tuple(row) for row in csv.reader(stream, delimiter=";")]
    assert (rows[0], sorted(rows[1:])) == (("Geschrieben", "Anliegen"), sorted(MERGED))
    assert merged(Ledger(queue), File("own.csv", own.read_bytes())) == (tmp_path / "new.csv").read_bytes()
    close = written(tmp_path / "close.csv", "Geschrieben;Anliegen", [("für beides", "Umzug,Kündigung")])
    run("review", queue, "--into", close, "--export", tmp_path / "close-new.csv")
    assert "macht was mit Strom;Kündigung,Umzug" in (tmp_path / "close-new.csv").read_text("utf-8")
    run("review", queue, "--into", close, "--export", tmp_path / "named.csv", "--label-delimiter", "|")
    assert "macht was mit Strom;Kündigung|Umzug" in (tmp_path / "named.csv").read_text("utf-8"), "what is named wins"


def test_a_joint_label_goes_into_a_table_as_the_labels_that_it_combines(tmp_path: Path) -> None:
    hints = Hints.again({"data": {"joint": True}, "labels": ["a+b", "a"], "task": "multiclass"})
    path = written(tmp_path / "own.csv", "text;label", [("beides", "b, a"), ("eins", "a")])
    rows = [Labelled("neu", ("a+b",)), Labelled("beides", ("a+b",))]
    done = merge_for(hints, rows, path, DataSpec(name=""), tmp_path / "new.csv", lambda said: None)
    assert (done.added, done.kept) == (1, 1) and (tmp_path / "new.csv").read_text("utf-8").endswith("neu;a, b\n")


@pytest.mark.parametrize("header", ["Fecha;Mensaje", "Mensaje;Fecha"])
def test_a_column_of_dates_is_not_taken_for_the_labels(header: str, bundle: Bundle, tmp_path: Path, run: Run) -> None:
    rows = [(f"2024-05-{n:02}", text) for n, (text, _) in enumerate(ROWS[:25], 1)]
    dated = written(tmp_path / "dated.csv", header, [row if header[0] == "F" else row[::-1] for row in rows])
    said = run("review", dated, "--with", bundle.path, "--below", 1, "--out", tmp_path / "queue.db")
    assert "disputed" not in said and 'No value of column "Fecha" of dated.csv is a label of the bundle' in said
    ledger = Ledger(tmp_path / "queue.db")
    assert all(each.content["labels"] is None for each in ledger.entries()) and len(ledger.about["said"]) == 1
    notes: list[str] = []
    given, _ = _read(File("dated.csv", dated.read_bytes()), Hints.of(bundle), None, notes.append)
    assert {each.labels for each in given} == {None} and notes == ledger.about["said"]
    for command in (["evaluate", bundle.path, dated], ["teach", bundle.path, dated, "--out", tmp_path / "taught"]):
        done = CliRunner().invoke(app, [*map(str, command)])
        shown = str(done.exception)
        assert done.exit_code != 0 and 'column "Fecha"' in shown and "name it with --label-column" in shown, shown
    assert not (tmp_path / "taught").exists()


def test_a_new_label_is_taught_if_its_column_is_named_or_known_or_has_a_known_label(
    bundle: Bundle, tmp_path: Path
) -> None:
    new = [(f"Blumen für {each}", "Blumen") for each in THINGS[:5]]
    own = written(tmp_path / "own.csv", "Geschrieben;Anliegen", new)
    assert labels_of(bundle, own)[0] == ("Blumen",), "the column of the training table"
    usual = written(tmp_path / "usual.csv", "text;label", new)
    assert labels_of(bundle, usual)[0] == ("Blumen",), "the page about teaching has such a table"
    other = written(tmp_path / "other.csv", "Text;Thema", new)
    with pytest.raises(NotLabels, match='no value of column "Thema"'):
        labels_of(bundle, other)
    assert labels_of(bundle, other, label_column="Thema")[0] == ("Blumen",)
    for known in ("Umzug", "Sonstiges", "KÃ¼ndigung"):
        one = written(tmp_path / "one.csv", "Text;Thema", [*new, ("neu", known)])
        assert labels_of(bundle, one)[0] == ("Blumen",), known
    bare = tmp_path / "bare.csv"
    bare.write_text("".join(f"{text},{label}\n" for text, label in new), "utf-8")
    with pytest.raises(NotLabels, match="no value of column 2 of"):
        labels_of(bundle, bare, header=False)
