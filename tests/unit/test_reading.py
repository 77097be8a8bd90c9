"""Real tables are read as their authors meant them, or an error names the option that settles a doubt."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purport import load_dataset
from purport.data.formats import BadRow, Layout, Row, read_rows, understand
from purport.data.reading import Reading
from purport.data.spec import DataSpec
from purport.data.survey import survey
from purport.errors import DataError, FormatUnknown, RowInvalid
from purport.labels import Task
from purport.testing import Recorder

TEXTS = ["where is my parcel", "cancel the order please", "has it been sent", "I want my money back", "stop the order"]
LABELS = ["track", "cancel", "track", "refund", "cancel"]
ROWS = list(zip(TEXTS, LABELS, strict=True)) * 3


def table(path: Path, header: str | None, delimiter: str = ",", encoding: str = "utf-8", rows=ROWS) -> Path:  # type: ignore[no-untyped-def]
    lines = [header] if header else []
    path.write_bytes("".join(f"{line}\n" for line in [*lines, *(delimiter.join(row) for row in rows)]).encode(encoding))
    return path


def read(path: Path, layout: Layout | None = None) -> list[tuple[str, str]]:
    found = list(read_rows(path, layout or Layout()))
    assert not [row for row in found if isinstance(row, BadRow)], found
    return [(row.text, row.label) for row in found if isinstance(row, Row)]


@pytest.mark.parametrize(
    "header",
    [
        "text,label", "Text,Label", " text , label ", "TEXT,LABEL", "utterance,intent", "query,category",
        "Question,Tag", "user_message,class", "Nachricht,Absicht", "requête,étiquette", "текст,метка",
        "文本,标签", "Metin,Etiket",
        "message,Thema",
    ],
)  # fmt: skip
def test_a_header_in_any_case_and_many_languages_is_no_row(tmp_path: Path, header: str) -> None:
    assert read(table(tmp_path / "a.csv", header)) == ROWS


@pytest.mark.parametrize("header", ["Anliegen,Team", "viesti,aihe", "ügy,csoport"])
def test_a_header_that_nobody_knows_is_an_error_with_the_options(tmp_path: Path, header: str) -> None:
    path = table(tmp_path / "a.csv", header)
    with pytest.raises(DataError, match=r"may be a header or a row: pass --text-column .* --no-header"):
        read(path)
    text, label = header.split(",")
    assert read(path, Layout(text, label)) == ROWS
    assert read(path, Layout(header=False)) == [(text, label), *ROWS]


def test_a_table_without_a_header_is_read_whole(tmp_path: Path) -> None:
    assert read(table(tmp_path / "a.csv", None)) == ROWS
    assert read(table(tmp_path / "a.tsv", None, "\t")) == ROWS


@pytest.mark.parametrize("header", ["text,message,label", "text,text,label", "label,intent,text"])
def test_two_columns_that_may_be_meant(tmp_path: Path, header: str) -> None:
    path = table(tmp_path / "a.csv", header, rows=[("a b", "c d", "x")] * 3)
    exact = header == "text,message,label"  # an equal name is certain
    if exact or header == "label,intent,text":
        assert len(read(path)) == 3
    else:
        with pytest.raises(
            DataError, match="several columns could be the text: text, text; name one with --text-column"
        ):
            read(path)


@pytest.mark.parametrize(("delimiter", "words"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
@pytest.mark.parametrize("header", ["text{}label", None])
def test_another_delimiter_is_found_and_said(tmp_path: Path, delimiter: str, words: str, header: str | None) -> None:
    path = table(tmp_path / "a.csv", header.format(delimiter) if header else None, delimiter)
    assert read(path) == ROWS
    assert understand(path, Layout()).notes == (f"columns separated by {words}",)


def test_a_delimiter_inside_texts_does_not_mislead(tmp_path: Path) -> None:
    rows = [("hello, you there", "greet"), ("no comma", "greet"), ("a, b, c", "list")] * 5
    assert read(table(tmp_path / "a.csv", None, ";", rows=rows)) == rows
    assert read(table(tmp_path / "b.csv", "text;label", ";", rows=rows)) == rows
    quoted = [(f'"{text}; really"', "x") for text, _ in ROWS]
    assert len(read(table(tmp_path / "c.csv", "text,label", rows=quoted))) == len(ROWS)


def test_a_delimiter_that_is_in_doubt(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("one;two|x\nthree;four|y\nfive;six|x\n", "utf-8")
    with pytest.raises(DataError, match=r"by vertical bars or by semicolons|by semicolons or by vertical bars"):
        read(path)
    assert read(path, Layout(delimiter="|", header=False))[0] == ("one;two", "x")


def test_the_hint_for_spreadsheets_is_no_row(tmp_path: Path) -> None:
    assert read(table(tmp_path / "a.csv", "sep=;\ntext;label", ";")) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_that_are_certain_are_read(tmp_path: Path, encoding: str) -> None:
    rows = [(f"{text} ü 漢", label) for text, label in ROWS]
    assert read(table(tmp_path / "a.csv", "text,label", encoding=encoding, rows=rows)) == rows


def test_a_row_in_another_encoding_is_a_bad_row(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "text,label", rows=ROWS * 20)
    path.write_bytes(path.read_bytes() + "Überweisung prüfen,bank\n".encode("cp1252"))
    *_, last = read_rows(path, Layout())
    assert isinstance(last, BadRow) and "--encoding" in last.problem


@pytest.mark.parametrize(
    ("header", "text", "encoding", "word"),
    [
        ("Überschrift,label", "Überweisung prüfen", "cp1252", "Überschrift"),
        ("Wiadomość,Kategoria", "gdzie jest", "cp1250", "Wiadomość"),
        ("Сообщение,label", "где", "cp1251", "Сообщение"),
        ("内容,label", "退货", "gb18030", "内容"),
    ],
)
def test_a_file_in_another_encoding_names_those_it_may_have(
    tmp_path: Path, header: str, text: str, encoding: str, word: str
) -> None:
    path = table(tmp_path / "a.csv", header, encoding=encoding, rows=[(text, "x"), *ROWS])
    with pytest.raises(DataError, match=f'"{word}" with {encoding}'):
        read(path, Layout())
    names = header.split(",")
    layout = Layout(encoding=encoding, text_column=names[0], label_column=names[1])
    assert read(path, layout)[0] == (text, "x")
    with pytest.raises(DataError, match='unknown encoding "cp1253x"'):
        read(path, Layout(encoding="cp1253x"))


def test_a_file_is_not_in_the_encoding_that_was_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label \x81\x8d\none,a\n")
    with pytest.raises(DataError, match="is not valid cp1252, which was named"):
        read(path, Layout(encoding="cp1252"))
    path.write_bytes("tæxt,label\none,a\n".encode("cp1252"))
    for utf8 in ("utf-8", "UTF-8-SIG"):
        with pytest.raises(DataError, match='"tæxt" with cp1252'):
            read(path, Layout(encoding=utf8))


def test_a_quote_that_is_not_closed_is_called_so(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "text,label")
    path.write_text(path.read_text("utf-8") + '"never closed,x\n', "utf-8")
    *_, last = read_rows(path, Layout())
    assert isinstance(last, BadRow) and "a quote is opened and not closed" in last.problem


def test_gzip_and_parquet_are_known_by_their_content(tmp_path: Path) -> None:
    plain = table(tmp_path / "plain.csv", "text,label")
    packed = tmp_path / "a.csv"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(packed) == ROWS
    pq.write_table(pa.table({"text": TEXTS, "label": LABELS}), tmp_path / "b.csv")
    assert read(tmp_path / "b.csv") == ROWS[:5]


@pytest.mark.parametrize(
    ("content", "remedy"),
    [(b"PK\x03\x04....", "Excel workbook"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save the sheet as CSV"),
     (b"BZh9", "bunzip2"), (b"\xfd7zXZ\x00", "unxz"), (b"\x01\x02" + b"\x00\x00\x00\x01" * 2000, "not a text file")],
)  # fmt: skip
def test_what_is_no_table_says_what_it_is(tmp_path: Path, content: bytes, remedy: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=remedy):
        read(tmp_path / "a.csv")


def test_a_text_that_is_too_long_is_one_bad_row(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "text,label", rows=[("one two", "x"), ("w " * 70_000, "x"), ("three four", "x")])
    with pytest.raises(RowInvalid, match="140,000 characters") as caught:
        list(load_dataset(path)["train"])
    assert [row for row, _ in caught.value.problems] == [3]


ARRAY = [{"text": "a b", "label": "x"}, {"text": "c d", "label": ["x", "y"]}]
OLD_RASA = {"rasa_nlu_data": {"common_examples": [{"text": "hi", "intent": "greet", "entities": []}]}}


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.json", ARRAY, [("a b", ("x",)), ("c d", ("x", "y"))]),
        ("a.jsonl", ARRAY, [("a b", ("x",)), ("c d", ("x", "y"))]),
        ("a.json", OLD_RASA, [("hi", ("greet",))]),
        ("a.json", {"version": 1, "data": [{"utterance": "hi", "intent": "greet"}]}, [("hi", ("greet",))]),
    ],
)
def test_json_arrays(tmp_path: Path, name: str, content: object, found: list[tuple[str, tuple[str, ...]]]) -> None:
    (tmp_path / name).write_text(json.dumps(content), "utf-8")
    assert [(each.text, each.labels) for each in load_dataset(tmp_path / name)["train"]] == found


RASA = """
version: "3.1"
nlu:
- intent: greet
  examples: |
    - hey there
    - hello [Anna](name)
- intent: order
  examples:
  - text: |
      a [large]{"entity": "size", "value": "L"} pizza
    metadata:
      sentiment: good
- synonym: L
  examples: |
    - large
rules:
- rule: none
"""


def test_a_rasa_project(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "nlu.yml").write_text(RASA, "utf-8")
    (tmp_path / "data" / "rules.yml").write_text("rules:\n- rule: none\n", "utf-8")
    rows = list(load_dataset(tmp_path)["train"])
    assert [(row.text, row.labels) for row in rows] == [
        ("hey there", ("greet",)), ("hello Anna", ("greet",)), ("a large pizza", ("order",))
    ]  # fmt: skip
    assert [row.row for row in rows[:2]] == [6, 7], "rows are named by their lines"


@pytest.mark.parametrize("content", ["- a\n- b\n", "nlu: yes\n", "nlu:\n - intent: [\n", ""])
def test_yaml_that_is_no_training_data(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.yml").write_text(content, "utf-8")
    with pytest.raises(DataError):
        list(load_dataset(tmp_path / "a.yml")["train"])


def test_a_hugging_face_folder(tmp_path: Path) -> None:
    features = {"text": {"dtype": "string"}, "label": {"names": ["cancel", "track"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    (tmp_path / "data").mkdir()
    for name, labels in (
        ("train-00000-of-00002", [0, 1]),
        ("train-00001-of-00002", [1, 0]),
        ("test-00000-of-00001", [-1, 1]),
    ):
        schema = pa.schema([("text", pa.string()), ("label", pa.int64())], metadata=metadata)
        rows = pa.table({"text": [f"{name} one", f"{name} two"], "label": labels}, schema=schema)
        pq.write_table(rows, tmp_path / "data" / f"{name}.parquet")
    (tmp_path / "README.md").write_text("---\ndataset_info: {}\n---\n", "utf-8")
    dataset = load_dataset(tmp_path, Reading(unlabelled="out_of_scope"))
    assert [row.labels for row in dataset["train"]] == [("cancel",), ("track",), ("track",), ("cancel",)]
    assert [row.row for row in dataset["train"]] == [1, 2, 3, 4]
    assert [row.labels for row in dataset["test"]] == [(), ("track",)]


def test_the_card_of_a_hugging_face_folder_names_the_numbers(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "train-00000-of-00001.parquet")
    features = "{name: label, dtype: {class_label: {names: {'0': cancel, '1': track}}}}"
    for card, expected in (
        (f"---\ndataset_info:\n  features:\n  - {{name: text, dtype: string}}\n  - {features}\n---\n# A\n", "cancel"),
        (f"---\ndataset_info:\n- config_name: x\n  features:\n  - {features}\n---\n", "cancel"),
    ):
        (tmp_path / "README.md").write_text(card, "utf-8")
        assert next(iter(load_dataset(tmp_path)["train"])).labels == (expected,)
    for card in ("---\nclass_label: [\n---\n", "---\nclass_label\n---\n", "# class_label\n"):
        (tmp_path / "README.md").write_text(card, "utf-8")
        with pytest.raises(RowInvalid, match="--label-names"):
            list(load_dataset(tmp_path)["train"])


def test_a_text_per_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("where is my parcel, please\ncancel; now\n", "utf-8")
    (tmp_path / "train.csv").write_text("\n\ntext,label\na b,x\n", "utf-8")
    texts = [row.text for row in read_rows(tmp_path / "a.txt", Layout(label_column=None)) if isinstance(row, Row)]
    assert texts == ["where is my parcel, please", "cancel; now"]
    assert list(load_dataset(tmp_path).splits) == ["train"] and len(load_dataset(tmp_path)["train"]) == 1


def test_blank_lines_before_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n\ntext,id\nwhere is it,1\n", "utf-8")
    found = list(read_rows(tmp_path / "a.csv", Layout(label_column=None)))
    assert [row.text for row in found if isinstance(row, Row)] == ["where is it"] and len(found) == 1


EXPORT = "id;text;label;note\n;;;\n1;where is it;track;\n;;;;\n ; ;;\n\n;;;\n2;stop it;cancel;x\n3;;;\n"


def test_empty_rows_of_an_export_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(";;;\n" + EXPORT, "utf-8")
    found = survey(DataSpec(name=str(path)))
    assert [(row.row, row.text) for row in found.shown] == [(4, "where is it"), (9, "stop it")]
    assert (
        not found.problems
        and found.left_out == ("5 empty rows of train left out",)
        and set(found.left_out) < set(found.said)
    )
    path.write_text(EXPORT + "".join(f"{n};where is number {n};track;\n" for n in range(9)), "utf-8")
    DataSpec(name=str(path), valid=0.5).load(Task.MULTICLASS, 0, recorder := Recorder())
    assert "5 empty rows of train left out" in recorder.lines


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", '{"text": "a b", "label": "x"}\n{}\n{"text": null, "label": []}\n'),
     ("a.json", '[{"text": "a b", "label": "x"}, {"text": "", "label": ""}, {"id": 3, "text": null}]')],
)  # fmt: skip
def test_empty_rows_of_json(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    found = survey(DataSpec(name=str(tmp_path / name)))
    assert not found.problems and found.left_out == ("2 empty rows of train left out",)


def test_every_label_without_a_text_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na b,x\n" + ",x\n" * 12, "utf-8")
    (problem,) = survey(DataSpec(name=str(path))).problems
    assert problem.count("text is empty; add a text or delete the row") == 12 and ":14: " in problem
    with pytest.raises(RowInvalid, match=r"7 more bad rows\n`purport data` lists all of them"):
        list(load_dataset(path)["train"])


@pytest.mark.parametrize(
    ("name", "remedy"), [("a.xlsx", "CSV UTF-8"), ("a.pkl", "to_parquet"), ("a.docx", "rename it")]
)
def test_a_format_that_is_not_read_says_what_to_do(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FormatUnknown, match=remedy):
        list(load_dataset(tmp_path / name)["train"])


def test_labels_that_are_numbers_are_read_where_asked(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b", "c"], "label": [0, 2, 1]}), tmp_path / "a.parquet")

    def labels(names: object) -> list[tuple[str, ...]]:
        return [row.labels for row in load_dataset(tmp_path / "a.parquet", Reading(label_names=names))["train"]]  # type: ignore[arg-type]

    with pytest.raises(RowInvalid, match=r"number 0; give the names with --label-names FILE .* --label-names numbers"):
        labels(None)
    assert labels(("no", "maybe", "yes")) == [("no",), ("yes",), ("maybe",)]
    assert labels("numbers") == [("0",), ("2",), ("1",)]
    with pytest.raises(RowInvalid, match="label is 2, but there are 2 label_names"):
        labels(("no", "yes"))
    pq.write_table(pa.table({"text": ["a", "b"], "label": [[1], [0, 1]]}), tmp_path / "a.parquet")
    assert labels(("no", "yes")) == [("yes",), ("no", "yes")]
    pq.write_table(pa.table({"text": ["a"], "label": [1.0]}), tmp_path / "a.parquet")
    assert labels(("no", "yes")) == [("yes",)], "pandas turns whole numbers into floats"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("to [Rome](city) please", "book"), ("to [Oslo](city)", "book"), ("hi there", "greet")] * 4, "markup of"),
        ([("a b", "['refund']"), ("c d", "['track']")] * 6, "lists that were written as text"),
        ([("a b", "('refund',)"), ("c d", "{'track'}")] * 6, "lists that were written as text"),
        ([("a b", "x"), ("Text", "Label"), ("c d", "y")] * 4, "looks like a header inside the table"),
        ([("a b", "x;y"), ("c d", "x"), ("e f", "y")] * 4, '--label-delimiter ";"'),
        ([("a b", "track"), ("c d", "track")], 'every row has the label "track"'),
        ([(f"some text {n}", f"id {n}") for n in range(20)], "--label-column"),
        ([("a b", "1"), ("c d", "2")] * 6, "--label-names FILE"),
        ([("a b", "track"), ("c d", "NO_NODES")] * 6, '--out-of-scope "NO_NODES"'),
        ([("a b", "Refund"), ("c d", "refund "), ("e f", "x")] * 6, "may be one label"),
    ],
)  # fmt: skip
def test_a_likely_mistake_is_named(tmp_path: Path, rows: list[tuple[str, str]], said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows), "utf-8")
    assert any(said in each for each in survey(DataSpec(name=str(path))).suspicions), survey(DataSpec(name=str(path)))


def test_a_sound_table_is_not_suspected(tmp_path: Path) -> None:
    found = survey(DataSpec(name=str(table(tmp_path / "a.csv", "text,label"))))
    assert (found.suspicions, found.problems, found.task) == ((), (), Task.MULTICLASS)


def test_names_for_no_label_leave_rows_without_one(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", "text,label", rows=[("hi", "greet"), ("rubbish", "other"), ("both", "greet+other")]
    )
    for task in Task:
        reading = Reading(task, out_of_scope=("other",))
        assert [row.labels for row in load_dataset(path, reading)["train"]] == [("greet",), (), ("greet",)]
    with pytest.raises(DataError, match=r'out_of_scope has "othr", which is not a label.*Did you mean "other"'):
        DataSpec(name=str(path), out_of_scope=("othr",), valid="train").load(Task.MULTILABEL, 0)
    with pytest.raises(DataError, match="no row of a has a label to learn"):
        DataSpec(name=str(path), out_of_scope=("other", "greet"), valid="train").load(Task.MULTILABEL, 0)
