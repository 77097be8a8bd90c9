"""Each check on rows made to have its defect, and on rows that have it not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from purport import Classifier, Dataset, Example
from purport.data.duplicates import jaccard, near_duplicates
from purport.data.names import twins
from purport.data.reading import Reading
from purport.data.table import RowTable, is_evaluation
from purport.doctor.checks.texts import repaired
from purport.doctor.diagnose import diagnose, proposed, without_losses
from purport.doctor.diagnosis_page import page as doctor_page
from purport.doctor.examination import Examination
from purport.doctor.finding import Diagnosis, Finding, Fix, Severity, Worth, count
from purport.evaluation.explore.exploration_page import page as explore_page
from purport.evaluation.explore.measure import explore
from purport.progress import SILENT
from purport.text import normal_form, words
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

from .clean_rows import clean


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
    # Three people may be wrong together, so that a person has to decide.
    assert fix.action == "relabel" and fix.new_labels == ("track",) and not fix.apply


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


def test_spellings_of_one_label_are_merged_as_a_whole() -> None:
    names = {
        "bring my wardrobe upstairs": "Track",
        "carry my wardrobe upstairs": " track",
        "follow my wardrobe": "tra_ck",
    }
    odd = [Example(text, (name,)) for text, name in names.items()]
    odd.append(Example("when will my lamp arrive at the door", ("TRACK",)))
    diagnosis = examine(train=[*clean(), *odd], test=[Example("where is my ladder", ("Track",))])
    found = named(diagnosis, "differ only in spelling: track (24), Track (2)")
    assert found.severity is Severity.ERROR and found.labels[0] == "track"
    fixes = {fix.labels[0]: (fix.action, fix.new_labels, fix.apply) for fix in found.fixes}
    assert fixes == {name: ("merge", ("track",), name != "tra_ck") for name in ("Track", "TRACK", " track", "tra_ck")}
    # The other checks take them for one label: no conflict, no suspicion, nothing row by row.
    assert not any("onflict" in each.title or "label error" in each.title for each in diagnosis.findings)
    assert {fix.action for fix in proposed(diagnosis.findings) if fix.labels[0].lower() != "refund"} <= {
        "merge",
        "drop",
    }


def test_different_names_are_no_spellings_of_one() -> None:
    assert twins({"C++": 3, "C#": 2, "c": 1, "refund": 1, "refund_status": 1, "é": 2, "e\u0301": 1}) == {"e\u0301": "é"}


def test_spellings_with_and_without_accents_are_one_suggestion() -> None:
    names = ("Devolución", "devolucion", "DEVOLUCIÓN", "Devolucio\u0301n")
    rows = [
        Example(f"quiero devolver {what} número {number}", (name,))
        for number, name in enumerate(names)
        for what in ("el paquete", "la mesa", "una silla")
    ]
    rows += [Example(f"tu número {number} es malo", (name,)) for number, name in enumerate(("कि", "की", "कु"))]
    (found,) = [each for each in examine(train=[*clean(), *rows]).findings if "differ only in spelling" in each.title]
    assert {*found.labels} == {*names}
    assert [(fix.action, fix.new_labels, fix.apply) for fix in found.fixes] == [("merge", found.labels[:1], True)] * 3


@pytest.mark.parametrize("name", ["other", "NO_NODES", "oos", "nlu_fallback", "None"])
def test_a_label_that_means_none_is_named_as_out_of_scope(name: str) -> None:
    odd = [Example("sing me a song", (name,)), Example("what is the capital of france", (name,))]
    diagnosis = examine(train=[*clean(), *odd[:1]], test=odd)
    said = f'add "{name}" to the list data.out_of_scope'
    assert said in named(diagnosis, "seems to mean that none applies").remedy
    assert said in named(examine(train=clean(), test=odd), "Not in train").remedy


def test_encoding_junk_is_repaired_and_plain_text_left_alone() -> None:
    rows = [*clean(), Example("mein GerÃ¤t ist kaputt", ("refund",)), Example("fish &amp; chips", ("refund",))]
    found = named(examine(train=rows), "Encoding damage in 2 texts")
    assert [fix.new_text for fix in found.fixes] == ["mein Gerät ist kaputt", "fish & chips"]
    for text in ("naïve café – “quoted” 😀", "नमस्ते दुनिया", "a\u200db", "AT&T; R&D", "مرحبا بالعالم",
                 "ยกเลิก\u200bคำสั่งซื้อ"):  # fmt: skip
        assert repaired(text) == text


def test_another_language_and_overlong_texts() -> None:
    rows = [*clean(), Example("je voudrais réserver un vol pour paris demain matin", ("track",)),
            Example("word " * 300, ("track",))]  # fmt: skip
    diagnosis = examine(train=rows)
    assert named(diagnosis, "Different language").rows[0].note == "fr"
    assert "302 tokens" in named(diagnosis, "Longer than the 256 tokens that models read at most").rows[0].note


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


@pytest.mark.parametrize(
    ("kind", "value", "interval", "said"),
    [
        ("gain", 0.0123, (0.01, 0.015), "fixing may gain 1.23 points (95 %: +1.00 to +1.50)"),
        (
            "gain",
            -0.004,
            (-0.006, -0.002),
            "not proposed: the fix was measured to lose 0.40 points (95 %: -0.60 to -0.20)",
        ),
        ("gain", -0.004, (-0.009, 0.001), "no clear effect: -0.40 points (95 %: -0.90 to +0.10)"),
        ("gain", None, None, "cannot be estimated: why"),
        ("bound", 0.01, None, "fixing may gain at most 1.00 points"),
        ("bound", 0.0, None, "no effect measured: why"),
        ("limit", 0.3627, None, "up to 36.27 points cannot be reached"),
        ("inflation", 0.011, None, "metrics are 1.10 points too high"),
        ("inflation", -0.011, None, "no effect measured: why"),
        ("inflation", None, None, "cannot be estimated: why"),
    ],
)
def test_an_effect_is_told_in_words(
    kind: str, value: float | None, interval: tuple[float, float] | None, said: str
) -> None:
    worth = Worth.model_validate({"kind": kind, "value": value, "how": "why", "interval": interval})
    assert worth.in_words == said


def test_numbers_of_things() -> None:
    assert [count(1, "fix", "fixes"), count(2, "fix", "fixes"), count(2_000, "row")] == [
        "1 fix",
        "2 fixes",
        "2,000 rows",
    ]


def test_a_fix_that_loses_is_not_proposed() -> None:
    fix = Fix(apply=True, action="drop", split="train", row=1, text="a", labels=("a",), check="c", why="")
    for interval, apply in (((-0.02, -0.01), False), ((-0.02, 0.01), True)):
        worth = Worth(kind="gain", value=-0.01, how="", interval=interval)
        found = Finding(
            check="c", severity=Severity.INFO, title="", why="", remedy="", n_rows=1, fixes=(fix,), worth=worth
        )
        assert [each.apply for each in without_losses(found).fixes] == [apply]


# Prices at the extremes: nothing is priced better than it is, and what cannot be measured has no price.


def leak_of(**splits: list[Example]) -> Finding:
    return named(examine(**splits), f"Leak: {len(splits['test'])} texts of test")


def test_the_price_of_identical_splits_cannot_be_estimated() -> None:
    leak = leak_of(train=clean(), test=clean())
    assert leak.worth is not None and leak.worth.value is None
    assert leak.worth.in_words == "cannot be estimated: no fresh row of test is left to compare with"
    assert not leak.fixes and "split the data again" in leak.remedy, "train is not to be dropped as a whole"


def test_the_price_of_a_leak_is_that_of_leaked_against_fresh_rows() -> None:
    fresh = [Example(f"{noun} zzz{noun} qqq", ("track", "refund")[n % 2 : n % 2 + 1]) for n, noun in
             enumerate(("ox", "yak", "gnu", "emu", "asp", "owl", "elk", "bat"))]  # fmt: skip
    test = [*clean()[:8], *fresh]
    leak = named(examine(train=clean(), test=test), "Leak: 8 texts of test")
    assert leak.worth is not None and leak.worth.value is not None and leak.worth.value > 0.1
    assert "on these 8 rows and" in leak.worth.how and "on the 8 fresh ones" in leak.worth.how


def test_a_leak_between_evaluation_splits_has_no_price() -> None:
    other = [Example("parcel where", ("track",)), Example("cash return", ("refund",))]
    leak = named(examine(train=clean(), valid=other, test=other), "Leak: 2 texts of valid")
    assert leak.worth is not None and leak.worth.value is None and "other evaluation splits" in leak.worth.how


def test_out_of_scope_rows_have_no_price() -> None:
    strangers = [Example(f"how tall is mount {name}", ()) for name in ("ararat", "elbrus", "etna", "fuji", "logan")]
    for splits in ({"train": clean(), "test": strangers}, {"train": [*clean(), *strangers]}, {"train": strangers}):
        assert named(examine(**splits), "No label").worth is None


def test_out_of_scope_rows_do_not_count_as_errors_of_a_model_that_learnt_them() -> None:
    mountains = ["ararat", "elbrus", "etna", "fuji", "logan", "rainier", "kenya", "cook", "blanc", "rosa", "viso"]
    strangers = [Example(f"how tall is mount {name}", ()) for name in mountains]
    diagnosis = examine(train=[*clean(), *strangers])
    assert diagnosis.exact_match is not None and diagnosis.exact_match > 0.9


def test_rows_without_others_to_compare_with_have_no_price() -> None:
    few = [Example("where is it", ("track",)), Example("my money", ("refund",))]
    rare = named(examine(train=few), "Fewer than 10 training rows")
    assert (
        rare.worth is not None and rare.worth.in_words == "cannot be estimated: there are no other rows to compare with"
    )


@pytest.mark.parametrize(
    "splits",
    [
        {"train": [Example(f"hello number {n}", ("a",)) for n in range(30)]},
        {"train": clean(), "valid": clean(), "test": clean()},
        {"train": [Example(f"hello number {n}", ()) for n in range(30)], "test": [Example("hi", ())] * 3},
        {"test": clean()},
        {"train": [Example("same text", (name,)) for name in "abcdef"]},
    ],
)
def test_no_price_is_better_than_all_rows_and_no_plan_empties_anything(splits: dict[str, list[Example]]) -> None:
    diagnosis = diagnose(RowTable.of(Dataset.from_examples(splits)), measure_plan=True)
    for finding in diagnosis.findings:
        if finding.worth and finding.worth.value is not None:
            assert -1 <= finding.worth.value <= 1
            assert "gain" not in finding.worth.in_words or finding.worth.value > 0
    rows = {(name, number): row for name, each in splits.items() for number, row in enumerate(each, start=1)}
    before = {(split, label) for (split, _), row in rows.items() for label in ("", *row.labels)}
    for fix in (fix for fix in proposed(diagnosis.findings) if fix.apply):
        del rows[fix.split, fix.row]
    assert before == {(split, label) for (split, _), row in rows.items() for label in ("", *row.labels)}


def test_the_last_row_of_a_label_is_not_proposed_to_be_dropped() -> None:
    gift = Example("do you sell vouchers", ("gift",))
    leaked = [gift, Example("when will my lamp arrive at the door", ("track",))]
    leak = named(examine(train=[*clean(), gift], test=leaked), "Leak: 2 texts of test")
    assert {fix.labels: fix.apply for fix in leak.fixes} == {("gift",): False, ("track",): True}
    assert all("last rows" in fix.why for fix in leak.fixes if not fix.apply)


def test_every_suspicion_has_a_line_in_the_plan() -> None:
    rows = [*clean(), *(Example(row.text + " indeed", ("refund", "track")) for row in clean()[:4]),
            Example("when will my sofa bed arrive at the door", ("refund",))]  # fmt: skip
    diagnosis = examine(train=rows)
    assert any("uspected label error" in finding.title for finding in diagnosis.findings)
    for finding in diagnosis.findings:
        if finding.check == "labels" and "Overlapping" not in finding.title:
            assert len(finding.fixes) == finding.n_rows and all(fix.new_labels for fix in finding.fixes)
