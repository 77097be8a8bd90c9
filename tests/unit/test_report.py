"""Reports on single rows, on no and on every label: the ends of what can be measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from purport import Bundle, Classifier, Dataset, Example
from purport.evaluation.compare import compare
from purport.evaluation.compare_page import page as compare_page
from purport.evaluation.report import report_on
from purport.evaluation.report_page import page as report_page
from purport.report.figures import bar_figure
from purport.report.page import Table

ROWS = {
    "a single row": [Example("where is my parcel", ("track_order",))],
    "no label at all": [Example("nice weather", ()), Example("what is two and two", ())],
    "one label": [Example(f"where is parcel {n}", ("track_order",)) for n in range(5)],
    "a label that is not the model's": [Example("sing me a song", ("music",))],
}


@pytest.mark.parametrize("name", ROWS)
def test_report_and_comparison_at_the_ends(name: str, linear_bundle: Bundle, tmp_path: Path) -> None:
    classifier = Classifier.open(linear_bundle)
    split = Dataset.from_examples({"test": ROWS[name]})["test"]
    found = report_on(classifier, split, resamples=10)
    assert found.evaluation.n == len(ROWS[name]) and found.slices[-1].n == len(ROWS[name])
    assert found.errors == sum(set(p.labels) != set(e.labels) for p, e in zip(
        classifier.predict([example.text for example in ROWS[name]]), ROWS[name], strict=True))  # fmt: skip
    assert sum(found.confidence_right) + sum(found.confidence_wrong) == len(ROWS[name])
    for page in (report_page(found), compare_page(compare(classifier, classifier, split, resamples=10))):
        assert ">nan<" not in page.write(tmp_path / page.title[:5]).read_text("utf-8").lower()


def test_slices_and_two_by_two_add_up(linear_bundle: Bundle, sample: Dataset) -> None:
    classifier = Classifier.open(linear_bundle)
    found = report_on(classifier, sample["test"], own=sample, resamples=10)
    n = len(sample["test"])
    parts = {part.name: part for part in found.slices}
    assert parts["no label"].n + parts["one label"].n + parts["several labels"].n == n
    assert parts["all rows"].exact_match == pytest.approx(found.evaluation.metrics["subset_accuracy"].value, abs=1e-6)
    gold = list(sample["test"].gold)
    known = set(sample["train"].gold)
    assert parts["label combination not in train"].n == sum(labels not in known for labels in gold)
    for name, two in found.two_by_two.items():
        label = found.evaluation.labels[name]
        assert two.true_positive + two.false_negative == label.support
        assert two.true_positive + two.false_positive == label.predicted
        assert two.true_positive + two.false_positive + two.false_negative + two.true_negative == n
    assert found.errors == n - round(found.exact_match * n)
    assert [e.confidence for e in found.worst_errors] == sorted(
        (e.confidence for e in found.worst_errors), reverse=True
    )
    assert all(not error.text for error in found.without_texts().worst_errors)


def test_a_message_cannot_put_a_script_into_a_page(linear_bundle: Bundle, tmp_path: Path) -> None:
    classifier = Classifier.open(linear_bundle)
    split = Dataset.from_examples({"test": [Example("<script>alert(1)</script>", ("track_order", "<b>"))]})["test"]
    for page in (report_page(report_on(classifier, split, resamples=10)),
                 compare_page(compare(classifier, classifier, split, resamples=10))):  # fmt: skip
        html = page.write(tmp_path / page.title[:5]).read_text("utf-8")
        assert "<script" not in html and "<b>" not in html


def test_slices_by_length_do_not_overlap_and_cover_every_row(linear_bundle: Bundle) -> None:
    classifier = Classifier.open(linear_bundle)
    for lengths in ([1], [1, 2, 3], [2, 2, 2, 2], list(range(1, 40)), [1] * 8 + [30]):
        rows = [Example(" ".join(["parcel"] * n), ("track_order",)) for n in lengths]
        found = report_on(classifier, Dataset.from_examples({"test": rows})["test"], resamples=5)
        parts = {part.name: part.n for part in found.slices if re.search(r"\bwords?$", part.name)}
        assert sum(parts.values()) == len(lengths)
        covered = [n for name, count in parts.items() for n in _lengths_in(name) if count]
        assert len(covered) == len(set(covered)) and {*lengths} <= {*covered}


def _lengths_in(name: str) -> range:
    numbers = [int(number) for number in re.findall(r"\d+", name)]
    if name.startswith("up to"):
        return range(numbers[0] + 1)
    return range(numbers[0] + 1, 100) if name.startswith("more than") else range(numbers[0], numbers[-1] + 1)


def test_columns_of_fractions_share_their_decimals_and_dashes_are_numbers() -> None:
    table = Table("t", ("a", "b", "c", "d"), [(0.95, 1, "–", 14.0), (1.0, 20, "3.2 %", 3), (0.9134, None, "–", None)])
    assert table.numeric == [True, True, True, True]
    shown = [[text for text, _ in row] for row in table.cells()]
    assert shown == [["0.9500", "1", "–", "14"], ["1.0000", "20", "3.2 %", "3"], ["0.9134", "–", "–", "–"]]


def test_labels_of_any_script_are_drawn_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    svg, _ = bar_figure("f", "t", [("退款", 1.0), ("คืนเงิน", 2.0), ("धन वापसी", 3.0)], "{}", xlabel="x").render()
    assert "退款" in svg and "คืนเงิน" in svg
    assert [str(warning.message) for warning in recwarn] == []


def test_a_number_and_its_sign_stay_on_one_line(linear_bundle: Bundle, sample: Dataset, tmp_path: Path) -> None:
    found = report_page(report_on(Classifier.open(linear_bundle), sample["test"], resamples=5))
    assert any(value.endswith(" %") for _, value in found.headline)
    html = found.write(tmp_path / "page").read_text("utf-8")
    assert "\u00a0%" in html and not re.search(r"\d %", html.partition("<body>")[2])
