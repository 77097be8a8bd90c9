"""Each check on rows made to have its defect, and on rows that have it not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from purport import Classifier, Dataset, Example, load_dataset
from purport.data.catalog import load
from purport.data.duplicates import jaccard, near_duplicates
from purport.data.formats import Layout
from purport.data.reading import Reading
from purport.data.table import RowTable, is_evaluation
from purport.doctor.checks.texts import repaired
from purport.doctor.diagnose import diagnose, proposed
from purport.doctor.diagnosis_page import page as doctor_page
from purport.doctor.examination import Examination
from purport.doctor.finding import Diagnosis, Finding, Fix, Severity, Worth, count
from purport.doctor.plan import apply_plan, read_plan, write_plan
from purport.errors import OutputExists, PlanInvalid
from purport.evaluation.explore.exploration_page import page as explore_page
from purport.evaluation.explore.measure import explore
from purport.progress import SILENT
from purport.text import normal_form, words
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe


def clean() -> list[Example]:
    """Rows that no check minds: two intents, words of their own."""
    nouns = (
        "lamp",
        "sofa",
        "chair",
        "table",
        "shelf",
        "mirror",
        "carpet",
        "kettle",
        "rug",
        "mattress",
        "cup",
        "drawer",
    )
    return [
        *(Example(f"when will my {noun} arrive at the {at}", ("track",)) for noun in nouns for at in ("door", "shop")),
        *(Example(f"{noun} money back please {verb} soon", ("refund",)) for noun in nouns for verb in ("pay", "send")),
    ]


def examine(**splits: list[Example]) -> Diagnosis:
    return diagnose(RowTable.of(Dataset.from_examples(splits)))


def named(diagnosis: Diagnosis, title: str) -> Finding:
    found = [finding for finding in diagnosis.findings if title in finding.title]
    assert len(found) == 1, [finding.title for finding in diagnosis.findings]
    return found[0]


def test_a_leak_is_an_error_whatever_its_case() -> None:
    test = [Example("When will my LAMP arrive at the door?", ("track",)), Example("where is that box", ("track",))]
    diagnosis = examine(train=clean(), test=test)
    leak = named(diagnosis, "Leak: 1 text of test")
    assert leak.severity is Severity.ERROR and leak.rows[0].row == 1 and "0 exact" in leak.title
    assert [(fix.action, fix.split, fix.apply) for fix in leak.fixes] == [("drop", "train", True)]
    assert diagnosis.worst is Severity.ERROR


def test_conflicts_and_the_majority() -> None:
    rows = [*clean(), *[Example("help me out now", ("track",))] * 3, Example("Help me out, now!", ("refund",))]
    conflict = named(examine(train=rows), "Conflict: 4 rows with the same text")
    assert conflict.worth is not None and conflict.worth.value == pytest.approx(1 / len(rows))
    [fix] = conflict.fixes
    assert fix.action == "relabel" and fix.new_labels == ("track",) and fix.apply


def test_rows_to_measure_on_are_left_to_a_person() -> None:
    test = [*[Example("help me out now", ("track",))] * 3, Example("help me out, now", ("refund",))]
    conflict = named(examine(train=clean(), test=test), "Conflict: 4 rows")
    assert [(fix.split, fix.apply) for fix in conflict.fixes] == [("test", False)]


def test_unseen_and_rare_labels() -> None:
    test = [Example("cancel everything today", ("cancel",)), Example("my parcel is late again", ("track",))]
    rare = [Example("a gift card for my aunt", ("gift",)), Example("do you sell vouchers", ("gift",))]
    diagnosis = examine(train=[*clean(), *rare], test=test)
    unseen = named(diagnosis, 'Not in train: "cancel"')
    assert unseen.severity is Severity.ERROR and unseen.worth is not None and unseen.worth.value == 0.5
    assert "cannot exceed 50.00%" in unseen.why
    assert "gift (2)" in named(diagnosis, "Fewer than 10 training rows").title
    assert "gift" in named(diagnosis, "Not evaluated").title


def test_one_sentence_under_many_rows() -> None:
    sentence = "tell me how long the warranty of the blue kettle lasts"
    rows = [Example(f"{sentence} and {example.text}", ("track", "warranty")) for example in clean()[:24:2]]
    found = named(examine(train=[*clean(), *rows]), 'with "warranty"')
    assert found.n_rows == 12 and sentence in found.quote


def test_label_names_that_are_twins() -> None:
    rows = [*clean(), Example("bring my wardrobe upstairs", ("Track",))]
    assert named(examine(train=rows), "differ only in spelling").labels == ("Track", "track")


def test_encoding_junk_is_repaired_and_plain_text_left_alone() -> None:
    rows = [*clean(), Example("mein GerÃ¤t ist kaputt", ("refund",)), Example("fish &amp; chips", ("refund",))]
    found = named(examine(train=rows), "Encoding damage in 2 texts")
    assert [fix.new_text for fix in found.fixes] == ["mein Gerät ist kaputt", "fish & chips"]
    for text in ("naïve café – “quoted” 😀", "नमस्ते दुनिया", "a\u200db", "AT&T; R&D", "مرحبا بالعالم"):
        assert repaired(text) == text


def test_another_language_and_overlong_texts() -> None:
    rows = [*clean(), Example("je voudrais réserver un vol pour paris demain matin", ("track",)),
            Example("word " * 80, ("track",))]  # fmt: skip
    diagnosis = examine(train=rows)
    assert named(diagnosis, "Different language").rows[0].note == "fr"
    assert "82 tokens" in named(diagnosis, "Longer than the 64 tokens").rows[0].note


def test_clean_rows_have_no_finding_of_weight() -> None:
    assert examine(train=clean()).worst in (None, Severity.INFO)


def test_bad_rows_are_findings_not_failures(tmp_path: Path) -> None:
    lines = [f"{example.text}\t{example.labels[0]}" for example in clean()]
    (tmp_path / "train.tsv").write_text("\n".join([*lines, "no label here", "\ttrack", "nothing\t"]) + "\n", "utf-8")
    diagnosis = diagnose(RowTable.load(str(tmp_path), Reading(unlabelled="out_of_scope")))
    bad = named(diagnosis, "Unusable: 2 rows of train")
    assert bad.severity is Severity.ERROR and [row.row for row in bad.rows] == [49, 50]
    assert named(diagnosis, "No label: 1 row").rows[0].row == 51


def test_texts_stay_at_home_when_asked() -> None:
    test = [Example("When will my LAMP arrive at the door?", ("track",))]
    sentence = "tell me how long the warranty of the blue kettle lasts"
    rows = [Example(f"{sentence} and {example.text}", ("track", "warranty")) for example in clean()[:24:2]]
    diagnosis = examine(train=[*clean(), *rows], test=test)
    told, kept = diagnosis.model_dump_json(), diagnosis.without_texts().model_dump_json()
    for private in ("LAMP", "lamp arrive", "warranty of the blue"):
        assert private in told and private not in kept


def test_a_plan_goes_out_and_comes_back(tmp_path: Path) -> None:
    data = Dataset.from_examples(
        {
            "train": [
                *clean(),
                Example('fish &amp; "chips", hot', ("refund",)),
                *[Example("help me out now", ("track",))] * 3,
                Example("help me out, now", ("refund",)),
            ],
            "test": [Example("when will my lamp arrive at the door", ("track",))],
        }
    )
    fixes = proposed(diagnose(RowTable.of(data)).findings)
    write_plan(fixes, tmp_path / "plan.csv")
    assert read_plan(tmp_path / "plan.csv") == fixes
    applied = apply_plan(data, fixes, tmp_path / "out")
    assert applied.actions == {"drop": 1, "relabel": 1, "rewrite": 1}
    after = load_dataset(tmp_path / "out")
    train = {(example.text, example.labels) for example in after["train"]}
    assert ('fish & "chips", hot', ("refund",)) in train and ("help me out, now", ("track",)) in train
    assert len(after["train"]) == len(data["train"]) - 1 and after["test"].fingerprint == data["test"].fingerprint
    assert not any("Leak" in finding.title for finding in diagnose(RowTable.of(after)).findings)


def test_a_plan_for_other_data_changes_nothing(tmp_path: Path) -> None:
    rows = [*clean(), Example("fish &amp; chips", ("refund",))]
    fixes = [fix for fix in proposed(examine(train=rows).findings) if fix.apply]
    other = Dataset.from_examples({"train": [*clean(), Example("fish and chips", ("refund",))]})
    with pytest.raises(PlanInvalid, match="train row 49 differs from the plan"):
        apply_plan(other, fixes, tmp_path / "out")
    with pytest.raises(PlanInvalid, match="train row 49 is not in dataset"):
        apply_plan(Dataset.from_examples({"train": clean()}), fixes, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(OutputExists):
        apply_plan(Dataset.from_examples({"train": rows}), fixes, tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('maybe,drop,train,1,a,"[""x""]",,,c,w', "apply must be yes or no"),
        ('yes,burn,train,1,a,"[""x""]",,,c,w', 'unknown action "burn"'),
        ("yes,drop,train,1,a,x,,,c,w", "plan.csv:2"),
        ('yes,rewrite,train,1,a,"[""x""]",,,c,w', "rewrite needs a new_text"),
    ],
)
def test_a_plan_that_cannot_be_read_names_the_line(line: str, said: str, tmp_path: Path) -> None:
    header = "apply,action,split,row,text,labels,new_text,new_labels,check,why"
    (tmp_path / "plan.csv").write_text(f"{header}\n{line}\n", "utf-8")
    with pytest.raises(PlanInvalid, match=said):
        read_plan(tmp_path / "plan.csv")


def test_words_forms_and_roles() -> None:
    assert words("Ｆlights, to BOSTON!") == ["flights", "to", "boston"]
    assert normal_form("  ?! ") == "?!"
    assert [is_evaluation(name) for name in ("train", "oos_train", "test", "oos_valid", "fold00", "dev")] == [
        False, False, True, True, False, True]  # fmt: skip


def test_near_duplicates() -> None:
    texts = [
        "show me flights from boston to denver",
        "show me flights from boston to dallas please now",
        "please show me flights from boston to denver",
        "what is a stopover",
        "Show me flights from Boston to Denver?",
    ]
    assert near_duplicates([words(text) for text in texts]) == [[0, 2, 4]]
    assert jaccard({"a", "b"}, {"b", "c"}) == pytest.approx(1 / 3)


def test_a_template_with_thousands_of_fillings_is_cheap() -> None:
    rows = [f"order number {number} has not come and i want to know where it is now".split() for number in range(3000)]
    clusters = near_duplicates(rows)
    assert len(clusters) < 20 and sum(map(len, clusters)) >= 2990


def test_the_diagnosis_is_plain_json() -> None:
    diagnosis = examine(train=clean())
    assert json.loads(diagnosis.model_dump_json())["rows"] == {"train": 48}


@pytest.mark.parametrize(
    "splits",
    [
        {"train": [Example("hello", ("a",))]},
        {"train": [Example("hello", ())] * 3},
        {"test": [Example("hello there", ("a",)), Example("bye", ("b",))]},
        {"train": [Example(f"hello number {n}", ("a",)) for n in range(30)], "test": [Example("hello", ("a",))]},
        {"train": [Example("!!!", ("a", "b")), Example("???", ("a",))], "valid": [Example("…", ())]},
        {"fold1": [Example("one", ("a",))], "fold2": [Example("two", ("b",))]},
        {"train": [Example("今天天气怎么样", ("weather",)), Example("帮我订一张机票", ("flight",))] * 6},
    ],
)
def test_small_and_odd_datasets_have_pages(splits: dict[str, list[Example]], tmp_path: Path) -> None:
    table = RowTable.of(Dataset.from_examples(splits))
    pages = {"doctor": doctor_page(diagnose(table, measure_plan=True)), "explore": explore_page(explore(table))}
    for name, page in pages.items():
        written = page.write(tmp_path / name).read_text("utf-8")
        assert "<nav" in written and ">nan<" not in written.lower()


@pytest.mark.parametrize("format_", ["csv", "tsv", "jsonl", "parquet"])
def test_labels_are_joined_as_they_were_in_the_source(format_: str, tmp_path: Path) -> None:
    layout = Layout(label_delimiter=";", header=True)
    (tmp_path / "table").mkdir()
    rows = ["text,label", "where is it,track+trace;refund", "money back,refund"]
    (tmp_path / "table" / "train.csv").write_text("\n".join(rows) + "\n", "utf-8")
    source = load(tmp_path / "table", Reading(layout=layout))
    out = tmp_path / "corrected"
    apply_plan(source, [], out, suffix=f".{format_}", label_delimiter=";")
    again = load(out, Reading(layout=layout))
    assert list(again["train"].gold) == list(source["train"].gold) == [("refund", "track+trace"), ("refund",)]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_new_label_that_holds_the_delimiter_is_refused(tmp_path: Path) -> None:
    source = Dataset.from_examples({"train": [Example("where is it", ("track",), 1)]})
    fix = Fix(apply=True, action="relabel", split="train", row=1, text="where is it", labels=("track",),
              new_labels=("a;b",), check="labels", why="")  # fmt: skip
    with pytest.raises(PlanInvalid, match=r"contains the delimiter ';'"):
        apply_plan(source, [fix], tmp_path / "out", suffix=".csv", label_delimiter=";")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("delimiter", ["+", ";"])
def test_joint_labels_of_a_bundle_are_split_as_its_recipe_says(delimiter: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    texts = [("red here", "red"), ("blue here", "blue"), ("red and blue here", f"red{delimiter}blue")]
    lines = [f"{text} {number}\t{label}" for number in range(12) for text, label in texts]
    (tmp_path / "data" / "train.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    data = {"name": str(tmp_path / "data"), "valid": 0.25, "joint": True, "label_delimiter": delimiter}
    bundle = train(parse_recipe({"kind": "linear", "task": "multiclass", "data": data}), tmp_path / "bundle")
    assert bundle is not None
    rows = {name: [Example("red and blue here 1", ("blue", "red"), 1)] for name in ("train", "test")}
    table = RowTable.of(Dataset.from_examples(rows))
    examined = Examination(table, Classifier.open(bundle), 0, SILENT)
    assert (examined.probabilities[table.positions("test")] > 0.5).all(), "both parts of the joint label are probable"


def test_an_effect_is_told_in_words() -> None:
    for kind, value, said in (
        ("gain", 0.0123, "fixing may gain 1.23 points"),
        ("gain", -0.004, "fixing may lose 0.40 points"),
        ("gain", 0.0, "none measurable"),
        ("limit", 0.3627, "up to 36.27 points cannot be reached"),
        ("inflation", 0.011, "metrics are 1.10 points too high"),
    ):
        assert Worth.model_validate({"kind": kind, "value": value, "how": ""}).in_words == said
    assert [count(1, "fix", "fixes"), count(2, "fix", "fixes"), count(2_000, "row")] == [
        "1 fix",
        "2 fixes",
        "2,000 rows",
    ]
