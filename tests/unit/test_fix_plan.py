"""A fix plan goes out, comes back as a spreadsheet leaves it, and changes nothing but the rows that it names."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purport import Dataset, Example, load_dataset
from purport.data.catalog import load
from purport.data.formats import Layout
from purport.data.reading import Reading
from purport.data.table import RowTable
from purport.doctor.apply import Applied, apply_plan
from purport.doctor.diagnose import diagnose, proposed
from purport.doctor.finding import Fix
from purport.doctor.plan import COLUMNS, read_plan, write_plan
from purport.doctor.source import Source
from purport.errors import LabelUnknown, OutputExists, PlanInvalid

from .clean_rows import clean

DROP = Fix(apply=True, action="drop", split="train", row=1, text="naïve café", labels=("a",), check="c", why="w")
RELABEL = DROP.model_copy(update={"action": "relabel", "row": 2, "text": "two", "new_labels": ("a", "b")})
REWRITE = DROP.model_copy(update={"action": "rewrite", "row": 3, "text": "GerÃ¤t", "new_text": "Gerät"})
MERGE = Fix(apply=True, action="merge", labels=("A",), new_labels=("a",), check="c", why="w")
PLAN = [MERGE, DROP, RELABEL, REWRITE]


def fix(row: int, text: str, labels: str, action: str = "drop", *, split: str = "train", **said: object) -> Fix:
    fields = {"apply": True, "action": action, "split": split, "row": row, "text": text, "check": "c", "why": "w"}
    return Fix.model_validate({**fields, "labels": tuple(labels.split()), **said})


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def applied(path: Path, fixes: list[Fix], **options: object) -> Applied:
    layout = Layout(label_delimiter="+", header=None)
    source = Source.load(str(path), Reading(layout=layout, unlabelled="out_of_scope"))
    return apply_plan(source, fixes, path.parent / "out", **options)  # type: ignore[arg-type]


def test_a_plan_goes_out_and_comes_back(tmp_path: Path) -> None:
    twins = [Example("help me out now", ("track",))] * 3
    train = [
        *clean(),
        Example('fish &amp; "chips", hot', ("refund",)),
        *twins,
        Example("help me out, now", ("refund",)),
    ]
    data = Dataset.from_examples(
        {"train": train, "test": [Example("when will my lamp arrive at the door", ("track",))]}
    )
    fixes = proposed(diagnose(RowTable.of(data)).findings)
    write_plan(fixes, tmp_path / "plan.csv")
    assert read_plan(tmp_path / "plan.csv") == fixes
    # A majority of copies may be wrong together: a person decides.
    assert [(each.action, each.apply) for each in fixes if each.text == "help me out, now"] == [("relabel", False)]
    fixes = [each.model_copy(update={"apply": True}) if each.action == "relabel" else each for each in fixes]
    assert apply_plan(data, fixes, tmp_path / "out").actions == {"drop": 1, "relabel": 1, "rewrite": 1}
    after = load_dataset(tmp_path / "out")
    rows = {(example.text, example.labels) for example in after["train"]}
    assert ('fish & "chips", hot', ("refund",)) in rows and ("help me out, now", ("track",)) in rows
    assert len(after["train"]) == len(train) - 1 and after["test"].fingerprint == data["test"].fingerprint
    assert not any("Leak" in finding.title for finding in diagnose(RowTable.of(after)).findings)


def test_a_plan_for_other_data_changes_nothing(tmp_path: Path) -> None:
    rows = [*clean(), Example("fish &amp; chips", ("refund",))]
    data = Dataset.from_examples({"train": rows})
    fixes = [each for each in proposed(diagnose(RowTable.of(data)).findings) if each.apply]
    other = Dataset.from_examples({"train": [*clean(), Example("fish and chips", ("refund",))]})
    with pytest.raises(PlanInvalid, match="train row 49 differs from the plan"):
        apply_plan(other, fixes, tmp_path / "out")
    with pytest.raises(PlanInvalid, match="train row 49 is not in dataset"):
        apply_plan(Dataset.from_examples({"train": clean()}), fixes, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write(tmp_path / "out" / "mine", "")
    with pytest.raises(OutputExists):
        apply_plan(data, fixes, tmp_path / "out")


def test_a_skipped_fix_for_a_changed_row_is_told(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "text,label\none,a\ntwo,b\nthree,a\nfour,b\n")
    skipped = [fix(2, "one", "a", apply=False), fix(3, "2", "b", apply=False), fix(9, "nine", "b", apply=False)]
    assert applied(table, skipped).changed == ("train 3", "train 9")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('maybe,drop,train,1,a,"[""x""]",,,c,w', "plan.csv:2: apply must be yes or no"),
        ('yes,burn,train,1,a,"[""x""]",,,c,w', 'unknown action "burn"'),
        ('yes,drop,train,1,a,"[1]",,,c,w', "plan.csv:2: labels must be names"),
        ("yes,drop,train,one,a,x,,,c,w", "plan.csv:2"),
        ('yes,rewrite,train,1,a,"[""x""]",,,c,w', "rewrite needs a new_text"),
        ("yes,relabel,train,1,a,x,,,c,w", r"relabel needs new_labels; write \[\]"),
        ("yes,merge,,,,x,,,c,w", "merge needs one name"),
    ],
)
def test_a_plan_that_cannot_be_read_names_the_line(line: str, said: str, tmp_path: Path) -> None:
    write(tmp_path / "plan.csv", f"{','.join(COLUMNS)}\n{line}\n")
    with pytest.raises(PlanInvalid, match=said):
        read_plan(tmp_path / "plan.csv")


def spreadsheet(delimiter: str = ",", newline: str = "\n", *, plain: bool = False) -> str:
    """PLAN as a spreadsheet may write it."""
    rows = [[*COLUMNS, "comment", ""]]
    for each in PLAN:
        labels, new = ("+".join(cell) if plain else json.dumps(cell) for cell in (each.labels, each.new_labels))
        row = {**each.model_dump(), "apply": "TRUE", "row": each.row or "", "labels": labels, "new_labels": new}
        if each.action not in ("relabel", "merge"):
            row["new_labels"] = ""
        rows.append([*(str(row[name]) for name in COLUMNS), "checked", ""])
    rows = [row[::-1] for row in rows] + [[""] * len(rows[0])] * 3
    quoted = (
        cell if not set(cell) & {delimiter, '"'} else '"' + cell.replace('"', '""') + '"'
        for row in rows
        for cell in row
    )
    cells = list(quoted)
    width = len(rows[0])
    return "".join(delimiter.join(cells[at : at + width]) + newline for at in range(0, len(cells), width))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_plan_saved_by_a_spreadsheet_is_read(delimiter: str, plain: bool, encoding: str, tmp_path: Path) -> None:
    content = spreadsheet(delimiter, "\r\n", plain=plain)
    assert read_plan(write(tmp_path / "plan.csv", content.encode(encoding))) == PLAN


@pytest.mark.parametrize(
    ("cell", "apply"),
    [(yes, True) for yes in ("x", "WAHR", "Vrai", "1", "Ja")] + [(no, False) for no in ("FALSCH", "0", "", "faux")],
)
def test_yes_and_no_as_spreadsheets_write_them(cell: str, apply: bool, tmp_path: Path) -> None:
    write(
        tmp_path / "plan.csv", f"apply;action;split;row;text;labels\n{cell};drop;train;1,0;a;x\n".replace("1,0", "1.0")
    )
    [found] = read_plan(tmp_path / "plan.csv")
    assert (found.apply, found.row, found.labels) == (apply, 1, ("x",))


def test_windows_1252_is_read_where_the_data_proves_it(tmp_path: Path) -> None:
    plan = write(tmp_path / "plan.csv", spreadsheet(";").encode("cp1252"))
    assert read_plan(plan, in_data={"naïve café", "GerÃ¤t"}.__contains__) == PLAN
    for texts in ((), ("naive cafe", "GerÃ¤t")):
        with pytest.raises(PlanInvalid, match="--plan-encoding"):
            read_plan(plan, in_data=texts.__contains__)
    assert read_plan(plan, encoding="cp1252") == PLAN


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "missing columns"),
        (b"\x00\x01\xff\xfe\x81", "--plan-encoding"),
        (b"PK\x03\x04\x14\x00\x81", "--plan-encoding"),
        (b"\xff\xfea\x00b", "save it as UTF-8"),
        (b"a,b\n1,2\n", "missing columns: apply"),
    ],
)
def test_what_is_no_plan_is_said_so(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(PlanInvalid, match=said):
        read_plan(write(tmp_path / "plan.csv", content))


def test_a_plan_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PlanInvalid, match="create one with purport doctor"):
        read_plan(tmp_path / "none.csv")
    with pytest.raises(PlanInvalid, match="cannot read the fix plan"):
        read_plan(tmp_path)


SOURCES = {
    "t.csv": 'id,text,label,note\n1,"one, two",a,"x ""y"""\n2,three,a+b,\n3,four  five,b,z\n4,six,,\n5,seven,b,\n',
    "t.tsv": "id\ttext\tlabel\tnote\n1\tone, two\ta\tx\n2\tthree\ta+b\t\n3\tfour  five\tb\tz\n"
    "4\tsix\t\t\n5\tseven\tb\t\n",
    "semicolon.csv": "text;label;id\none, two;a;1\nthree;a+b;2\nfour  five;b;3\nsix;;4\nseven;b;5\n",
    "plain.tsv": "one, two\ta\nthree\ta+b\nfour  five\tb\nsix\t\nseven\tb\n",
    "t.jsonl": '{"id": 1, "label": ["a"], "text": "one, two"}\n{"text": "three", "label": "a+b"}\n'
    '{"text": "four  five", "label": "b", "more": {"k": [1, null]}}\n{"text": "six", "label": []}\n'
    '{"text": "seven", "label": "b"}\n',
}


@pytest.mark.parametrize("name", SOURCES)
def test_only_the_fixed_rows_differ(name: str, tmp_path: Path) -> None:
    table, lines = write(tmp_path / name, SOURCES[name]), SOURCES[name].splitlines()
    head = len(lines) - 5
    fixes = [fix(head + 3, "four  five", "b", "relabel", new_labels=("a", "b")), fix(head + 5, "seven", "b")]
    done = applied(table, fixes)
    assert done.files == (tmp_path / "out" / name,) and done.actions == {"relabel": 1, "drop": 1}
    written = (tmp_path / "out" / name).read_text("utf-8").splitlines()
    assert written[: head + 2] == lines[: head + 2] and written[head + 3] == lines[head + 3]
    before, after = ('"label": "b"', '"label": "a+b"') if name.endswith("jsonl") else ("five", "five")
    wanted = (
        lines[head + 2].replace(before, after)
        if before != after
        else re.sub(r"(five[\t,;])b", r"\1a+b", lines[head + 2])
    )
    assert written[head + 2] == wanted
    assert len(written) == len(lines) - 1 and table.read_text("utf-8") == SOURCES[name]


@pytest.mark.parametrize("format_", ["csv", "tsv", "jsonl", "parquet"])
def test_other_columns_go_along_to_another_format(format_: str, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", SOURCES["t.csv"])
    done = applied(table, [fix(6, "seven", "b")], suffix=f".{format_}")
    [file] = done.files
    assert file.name == f"t.{format_}"
    source = Source.load(str(file), Reading(unlabelled="out_of_scope"))
    examples = list(source.dataset["train"])
    assert [example.labels for example in examples] == [("a",), ("a", "b"), ("b",), ()]
    assert [dict(example.cells or {})["note"] for example in examples][:3] == ['x "y"', "", "z"]


@pytest.mark.parametrize("class_label", [True, False])
def test_labels_that_are_numbers_stay_numbers(class_label: bool, tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = arrow.table({"text": ["one", "two", "three", "four"], "label": arrow.array([0, 1, 1, 0], arrow.int16())})
    features = {"info": {"features": {"label": {"names": ["refund", "track"]}}}}
    if class_label:
        rows = rows.replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(rows, tmp_path / "t.parquet")
    reading = Reading(label_names=None if class_label else ("refund", "track"))
    source = Source.load(str(tmp_path / "t.parquet"), reading)
    apply_plan(source, [fix(2, "two", "track", "relabel", new_labels=("refund",))], tmp_path / "out")
    written = parquet.read_table(tmp_path / "out" / "t.parquet")
    assert written.schema.equals(rows.schema, check_metadata=True) and written["label"].to_pylist() == [0, 0, 1, 0]
    apply_plan(source, [], tmp_path / "csv", suffix=".csv")
    lines = (tmp_path / "csv" / "t.csv").read_text().splitlines()
    assert lines == ["text,label", "one,refund", "two,track", "three,track", "four,refund"]


def test_the_files_of_a_folder_keep_their_names_and_formats(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train.csv", "Utterance,Intent,id\none,a,1\ntwo,b,2\n")
    write(tmp_path / "data" / "test.jsonl", '{"text": "three", "label": "a"}\n')
    done = applied(tmp_path / "data", [])
    assert sorted(file.name for file in done.files) == ["test.jsonl", "train.csv"]
    for name in ("train.csv", "test.jsonl"):
        assert (tmp_path / "out" / name).read_text() == (tmp_path / "data" / name).read_text()


def test_unusable_rows_are_copied_and_told(tmp_path: Path) -> None:
    content = 'text,label\none,a\nno label here\n"",b\ntwo,a+\nthree,b\nfour,b\n'
    table = write(tmp_path / "t.csv", content)
    done = applied(table, [fix(7, "four", "b")])
    assert done.unusable == ("train 3", "train 4", "train 5") and not done.left_out
    copied = (tmp_path / "out" / "t.csv").read_text().splitlines()
    assert [line.strip('"') for line in copied] == [line.replace('""', "") for line in content.splitlines()[:-1]]


def test_what_another_format_cannot_hold_is_left_out_and_told(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "text,label\none,a\nno label here\ntwo,b\n")
    assert applied(table, [], suffix=".jsonl").left_out == ("train 3",)


def test_no_split_and_no_label_is_emptied_by_accident(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "text,label\none,a\ntwo,b\nthree,b\n")
    everything = [fix(2, "one", "a"), fix(3, "two", "b"), fix(4, "three", "b")]
    with pytest.raises(PlanInvalid, match=r"drops all 3 rows of train.*--allow-empty"):
        applied(table, everything)
    with pytest.raises(PlanInvalid, match=r'no row of train with "a" \(1\).*--allow-empty'):
        applied(table, everything[:1])
    with pytest.raises(PlanInvalid, match=r'no row of train with "a" \(1\)'):
        applied(table, [fix(2, "one", "a", "relabel", new_labels=("b",))])
    assert not (tmp_path / "out").exists()
    assert applied(table, everything[:1], allow_empty=True).actions == {"drop": 1}


def test_a_new_label_is_asked_about(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "text,label\none,refund\ntwo,track\nthree,track\n")
    wrong = [fix(3, "two", "track", "relabel", new_labels=("refnd",))]
    with pytest.raises(LabelUnknown, match=r'"refnd".*[Dd]id you mean "refund".*--new-labels'):
        applied(table, wrong)
    assert applied(table, wrong, new_labels=True).actions == {"relabel": 1}


def test_a_merge_renames_the_label_in_every_row_of_every_split(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train.csv", "text,label\none,Refund\ntwo,refund\nthree,refund+Refund\nfour,x\n")
    write(tmp_path / "data" / "test.csv", "text,label\nfive,Refund\n")
    merge = Fix(apply=True, action="merge", labels=("Refund",), new_labels=("refund",), check="c", why="w")
    relabel = fix(5, "four", "x", "relabel", new_labels=("Refund",))
    done = applied(tmp_path / "data", [merge, relabel], allow_empty=True)
    assert done.actions == {"merge": 4, "relabel": 1}
    labels = [line.split(",")[1] for name in ("train", "test") for line in
              (tmp_path / "out" / f"{name}.csv").read_text().splitlines()[1:]]  # fmt: skip
    assert labels == ["refund"] * 5


def test_merges_follow_each_other_but_not_in_a_circle(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "text,label\none,a\ntwo,b\nthree,c\n")
    chain = [MERGE.model_copy(update={"labels": (old,), "new_labels": (new,)}) for old, new in ("ab", "bc", "ca")]
    with pytest.raises(PlanInvalid, match="back"):
        applied(table, chain)
    applied(table, chain[:2])
    assert (tmp_path / "out" / "t.csv").read_text() == "text,label\none,c\ntwo,c\nthree,c\n"


@pytest.mark.parametrize("format_", ["csv", "tsv", "jsonl", "parquet"])
def test_labels_are_joined_as_they_were_in_the_source(format_: str, tmp_path: Path) -> None:
    layout = Layout(label_delimiter=";", header=True)
    write(tmp_path / "table" / "train.csv", "text,label\nwhere is it,track+trace;refund\nmoney back,refund\n")
    source = load(tmp_path / "table", Reading(layout=layout))
    out = tmp_path / "corrected"
    apply_plan(source, [], out, suffix=f".{format_}")
    again = load(out, Reading(layout=layout))
    assert list(again["train"].gold) == list(source["train"].gold) == [("refund", "track+trace"), ("refund",)]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_new_label_that_holds_the_delimiter_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "text,label\none,a\ntwo,b\nthree,b\n")
    for format_ in (None, ".jsonl"):
        with pytest.raises(PlanInvalid, match=r"contains the delimiter '\+'"):
            applied(table, [fix(3, "two", "b", "relabel", new_labels=("a+b",))], suffix=format_, new_labels=True)
    assert not (tmp_path / "out").exists()


NAMES = st.sampled_from(["a", "b b", "c,d", 'e"f', "g;h", "i|j", "k+l", "=m", "ñ"])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_is_read_back_the_same(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    delimiter = data.draw(st.sampled_from(["+", "|", ";", ", ", "::"]))
    names = NAMES.filter(lambda name: delimiter.strip() not in name)
    rows = data.draw(st.lists(st.tuples(TEXTS, st.sets(names, max_size=3)), min_size=1, max_size=5))
    source, target = (data.draw(st.sampled_from(["csv", "jsonl", "tsv", "parquet"])) for _ in range(2))
    root, layout = tmp_path_factory.mktemp("data"), Layout(label_delimiter=delimiter)
    examples = [Example(text, tuple(sorted(labels))) for text, labels in rows]
    reading = Reading(layout=layout, unlabelled="out_of_scope")
    with (root / "t.jsonl").open("w") as stream:
        for example in examples:
            stream.write(json.dumps({"id": 7, "text": example.text, "label": list(example.labels)}) + "\n")
    path = root / "t.jsonl"
    for step, format_ in enumerate((source, target, target)):
        try:
            done = apply_plan(Source.load(str(path), reading), [], root / str(step), suffix=f".{format_}")
        except PlanInvalid as error:  # a text that TSV cannot hold
            assert "--format" in str(error) and format_ == "tsv"
            return
        [path] = done.files
        assert list(load(path, reading)["train"]) == examples


def test_texts_that_look_like_formulas_are_harmless_and_come_back(tmp_path: Path) -> None:
    texts = ("=1+1", "@me", "-5 degrees", "'=quoted", "\tindented", '=HYPERLINK("x")')
    fixes = [fix(n, text, "-x", "rewrite", new_text=f"{text}!") for n, text in enumerate(texts, start=1)]
    write_plan(fixes, tmp_path / "plan.csv")
    assert read_plan(tmp_path / "plan.csv") == fixes
    with (tmp_path / "plan.csv").open(newline="") as stream:
        assert not [cell for row in csv.reader(stream) for cell in row if cell[:1] in tuple("=+-@\t")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encoding_and_line_ends_stay(encoding: str, end: str, tmp_path: Path) -> None:
    lines = ["text;label", "naïve;a", "two;a", "three;b", "four;b", ""]
    table = write(tmp_path / "t.csv", end.join(lines).encode(encoding))
    layout = Layout(encoding="cp1252" if encoding == "cp1252" else None)
    source = Source.load(str(table), Reading(layout=layout))
    apply_plan(source, [fix(3, "two", "a")], tmp_path / "out")
    assert (tmp_path / "out" / "t.csv").read_bytes() == end.join(lines[:2] + lines[3:]).encode(encoding)
    snowman = fix(4, "three", "b", "rewrite", new_text="☃")
    if encoding == "cp1252":
        with pytest.raises(PlanInvalid, match="cannot hold '☃' in its encoding"):
            apply_plan(source, [snowman], tmp_path / "out2")


def test_the_cells_of_a_plan_are_quoted(tmp_path: Path) -> None:
    write_plan(PLAN, tmp_path / "plan.csv")
    with (tmp_path / "plan.csv").open(encoding="utf-8-sig", newline="") as stream:
        assert [row["action"] for row in csv.DictReader(stream)] == ["merge", "drop", "relabel", "rewrite"]
    assert (tmp_path / "plan.csv").read_bytes().startswith(b"\xef\xbb\xbf"), "Excel reads UTF-8 only with this mark"
