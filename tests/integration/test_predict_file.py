"""Answering files: in order, whole or not at all, bad rows reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from purport import Bundle, Classifier
from purport.data.formats import BadRow, Layout, Row, format_of
from purport.errors import DataError, DatasetNotFound, OutputUnwritable
from purport.predict_file import predict_file
from purport.prediction import AnswerOptions

TEXTS = [f"where is parcel number {number}, and the invoice" for number in range(1200)]


@pytest.fixture(scope="module")
def classifier(linear_bundle: Bundle) -> Classifier:
    return Classifier.open(linear_bundle)


@pytest.mark.parametrize("source", [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz"])
@pytest.mark.parametrize("target", [".csv", ".tsv", ".jsonl", ".parquet", ".jsonl.gz"])
def test_every_format_in_and_out_in_order(tmp_path: Path, classifier: Classifier, source: str, target: str) -> None:
    given, made = tmp_path / f"in{source}", tmp_path / f"out{target}"
    with format_of(given).write(given, ["text"]) as write:
        for text in TEXTS:
            write({"text": text})
    tally = predict_file(classifier, given, made)
    assert (tally.answered, tally.bad) == (len(TEXTS), ())
    rows = list(format_of(made).read(made, Layout("text", "label_1")))
    assert [row.text for row in rows if isinstance(row, Row)] == TEXTS
    best = [prediction.ranked[0].label for prediction in classifier.predict(TEXTS)]
    assert [row.label for row in rows if isinstance(row, Row)] == best


def test_the_columns_that_are_asked_for(tmp_path: Path, classifier: Classifier) -> None:
    given, made = tmp_path / "in.csv", tmp_path / "out.jsonl"
    given.write_text("text\nwhere is my parcel\n", "utf-8")
    predict_file(classifier, given, made, options=AnswerOptions(top_k=1, probabilities=True, threshold=0.0))
    row = json.loads(made.read_text("utf-8"))
    assert set(row["labels"]) == set(classifier.labels)
    assert "label_1" in row and "label_2" not in row
    (proba,) = classifier.predict_proba(["where is my parcel"])
    for label, value in zip(classifier.labels, proba, strict=True):
        assert row[f"p({label})"] == pytest.approx(float(value), abs=1e-6)


def test_a_bad_row_keeps_its_place_and_the_rest_goes_on(tmp_path: Path, classifier: Classifier) -> None:
    given, made = tmp_path / "in.csv", tmp_path / "out.csv"
    given.write_bytes(b"id,text\n1,where is my parcel\n2, \n3,b\xff\n\n5,my invoice please\n")
    seen: list[BadRow] = []
    tally = predict_file(classifier, given, made, on_bad=seen.append)
    assert tally.answered == 2 and [row.number for row in tally.bad] == [3, 4] == [row.number for row in seen]
    assert tally.empty == 1
    rows = [row for row in format_of(made).read(made, Layout("text", "error")) if isinstance(row, Row)]
    assert [bool(row.label) for row in rows] == [False, True, True, True, False]
    assert rows[1].label == "row 3 has no text" and "UTF-8" in rows[2].label and rows[3].label == "row 5 is empty"


@pytest.mark.parametrize("name", ["in.txt", "in.csv", "in.jsonl"])
def test_an_empty_row_keeps_its_place_and_is_no_error(tmp_path: Path, classifier: Classifier, name: str) -> None:
    given, made = tmp_path / name, tmp_path / "out.jsonl"
    lines = {"in.txt": ["my invoice", "", "  ", "my parcel", ""], "in.csv": ["n;text", ";", " ; ", "4;my parcel", ";;"],
             "in.jsonl": ['{"text": "my invoice"}', "", '{"text": null}', '{"text": "my parcel"}', "{}"]}  # fmt: skip
    given.write_text("\n".join(lines[name]) + "\n", "utf-8")
    tally = predict_file(classifier, given, made)
    rows = [json.loads(line) for line in made.read_text("utf-8").splitlines()]
    assert tally.bad == () and tally.empty == 3 and len(rows) == tally.answered + 3
    assert [bool(row.get("error")) for row in rows[-4:]] == [True, True, False, True]
    assert rows[-1] == {"labels": [], "error": "row 5 is empty"} and "track_order" in rows[-2]["labels"]


@pytest.mark.parametrize(
    ("encoding", "begins"),
    [("utf-8", b"frage;"), ("utf-8-sig", b"\xef\xbb\xbffrage;"), ("cp1252", b"\xef\xbb\xbffrage;")],
)
def test_a_spreadsheet_that_opens_the_input_opens_the_answers(
    tmp_path: Path, classifier: Classifier, encoding: str, begins: bytes
) -> None:
    source, target = tmp_path / "fragen.csv", tmp_path / "antworten.csv"
    source.write_bytes("frage;nummer\r\nwo ist mein Päckchen;1,5\r\nGröße?;2\r\n".encode(encoding))
    layout = Layout(text_column="frage", encoding=None if encoding == "utf-8" else encoding)

    predict_file(classifier, source, target, layout=layout, options=AnswerOptions(1))

    assert target.read_bytes().startswith(begins + b"nummer;labels;")
    assert "wo ist mein Päckchen;1,5;" in target.read_text("utf-8-sig")
    as_table = tmp_path / "antworten.tsv"
    predict_file(classifier, source, as_table, layout=layout, options=AnswerOptions(1))
    assert as_table.read_bytes().startswith(b"frage\tnummer\tlabels\t")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.tsv", 'id;text\n1;"flights;=1+1"\n2;"two ""words"""\n'),
        ("in.csv", 'sep=^\nid^text\n1^flights;=1+1\n2^two "words"\n'),
        ("in.csv", 'id|text\n1|"flights;=1+1"\n2|"two ""words"""\n'),
    ],
)
def test_answers_can_be_read_again_whatever_separates_the_input(
    tmp_path: Path, classifier: Classifier, name: str, content: str
) -> None:
    source, target = tmp_path / name, tmp_path / f"out{name[2:]}"
    source.write_text(content, "utf-8")

    predict_file(classifier, source, target, options=AnswerOptions(1))

    rows = list(format_of(target).read(target, Layout("text", "label_1")))
    assert [row.text for row in rows if isinstance(row, Row)] == ["flights;=1+1", 'two "words"']


def test_a_table_without_a_header_keeps_its_columns(tmp_path: Path, classifier: Classifier) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("where is my parcel;1;a\nmy invoice please;2;b\n", "utf-8")

    predict_file(classifier, source, target, layout=Layout(header=False), options=AnswerOptions(1))

    header, first, _ = target.read_text("utf-8").splitlines()
    assert header.startswith("text;column 2;column 3;labels;") and first.startswith("where is my parcel;1;a;")


def test_the_directory_of_the_output_must_exist(tmp_path: Path, classifier: Classifier) -> None:
    (tmp_path / "in.txt").write_text("my invoice\n", "utf-8")
    with pytest.raises(OutputUnwritable, match=r"there is no directory .*answres; create it or correct the path"):
        predict_file(classifier, tmp_path / "in.txt", tmp_path / "answres" / "out.csv")
    assert not (tmp_path / "answres").exists()


def test_a_failure_leaves_the_old_output(
    tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, made = tmp_path / "in.csv", tmp_path / "out.csv"
    given.write_text("text\n" + "hello\n" * 600, "utf-8")
    made.write_text("precious", "utf-8")
    calls = []

    def interrupted(*args: object, **options: object) -> None:
        calls.append(args)
        raise KeyboardInterrupt

    monkeypatch.setattr(classifier, "answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_file(classifier, given, made)
    assert made.read_text("utf-8") == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"} and calls


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("id,note\n1,hello\n", "columns are id, note"),
        (" \n", "has no rows"),
        ("id,text\n1,\n", "no row can be"),
    ],
)
def test_a_file_without_an_answer_is_an_error(
    tmp_path: Path, classifier: Classifier, content: str, message: str
) -> None:
    given = tmp_path / "in.csv"
    given.write_text(content, "utf-8")
    with pytest.raises(DataError, match=message):
        predict_file(classifier, given, tmp_path / "out.csv", layout=Layout(label_column=None))
    assert not (tmp_path / "out.csv").exists()


def test_no_such_file_and_a_directory(tmp_path: Path, classifier: Classifier) -> None:
    with pytest.raises(DatasetNotFound):
        predict_file(classifier, tmp_path / "none.csv", tmp_path / "out.csv")
    with pytest.raises(DataError, match="directory"):
        predict_file(classifier, tmp_path, tmp_path / "out.csv")
    (tmp_path / "in.csv").write_text("hello\n", "utf-8")
    with pytest.raises(DataError, match="name the file to write"):
        predict_file(classifier, tmp_path / "in.csv", tmp_path)


def test_one_impossible_text_does_not_stop_the_rest(tmp_path: Path, classifier: Classifier) -> None:
    given, made = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    given.write_text('{"text": "my invoice"}\n{"text": "\\ud800"}\n\n{"text": "my parcel"}\n', "utf-8")
    tally = predict_file(classifier, given, made)
    assert tally.answered == 2 and [row.number for row in tally.bad] == [2]
    assert len(made.read_text("utf-8").splitlines()) == 4
