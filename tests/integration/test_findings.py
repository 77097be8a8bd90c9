"""What the doctor has to find in the public datasets, unaided."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from purport import Dataset, Example, load_dataset
from purport.data.reading import Reading
from purport.data.table import RowTable
from purport.doctor.diagnose import diagnose
from purport.doctor.finding import Diagnosis, Finding, Severity

pytestmark = pytest.mark.usefixtures("public_data")


@pytest.fixture(scope="module")
def atis(public_data: Path) -> Diagnosis:
    return diagnose(RowTable.load("atis", Reading(unlabelled="out_of_scope")))


@pytest.fixture(scope="module")
def mixatis(public_data: Path) -> Diagnosis:
    return diagnose(RowTable.load("mixatis", Reading(unlabelled="out_of_scope")))


def named(diagnosis: Diagnosis, title: str) -> Finding:
    found = [finding for finding in diagnosis.findings if title in finding.title]
    assert len(found) == 1, [finding.title for finding in diagnosis.findings]
    return found[0]


def test_atis_leaks(atis: Diagnosis, public_data: Path) -> None:
    leak = named(atis, "Leak: 11 texts of test also in another split (11 exact)")
    texts = {
        split: [line.split("\t")[0] for line in (public_data / "atis" / f"{split}.tsv").read_text("utf-8").splitlines()]
        for split in ("train", "test")
    }
    expected = {number for number, text in enumerate(texts["test"], 1) if text in set(texts["train"])}
    assert {row.row for row in leak.rows} == expected and leak.severity is Severity.ERROR
    assert {texts["train"][fix.row - 1] for fix in leak.fixes} == {texts["test"][row - 1] for row in expected}


def test_atis_day_name(atis: Diagnosis) -> None:
    finding = named(atis, 'Not in train: "day_name", in 2 of 850 rows of test')
    assert finding.severity is Severity.ERROR and finding.worth is not None
    assert finding.worth.value == pytest.approx(2 / 850)


def test_mixatis_hole(mixatis: Diagnosis) -> None:
    finding = named(mixatis, 'Not in train: "atis_day_name", in 108 of 828 rows of test')
    assert finding.severity is Severity.ERROR and "cannot exceed 86.96%" in finding.why


def test_mixatis_rows_of_one_source(mixatis: Diagnosis) -> None:
    flight_time = named(mixatis, 'rows of test with "atis_flight_time"')
    assert flight_time.n_rows == 90 and "what are the departure times from" in flight_time.quote
    assert named(mixatis, 'rows of test with "atis_day_name"').n_rows >= 50
    assert named(mixatis, 'rows of train with "atis_cheapest"').n_rows == 1316


def test_snips_leaks(public_data: Path) -> None:
    diagnosis = diagnose(RowTable.load("snips", Reading()))
    train, test = (
        [line.split("\t")[0] for line in (public_data / "snips" / f"{split}.tsv").read_text("utf-8").splitlines()]
        for split in ("train", "test")
    )
    leak = named(diagnosis, "Leak: 26 texts of test")
    assert {row.row for row in leak.rows} == {n for n, text in enumerate(test, 1) if text in set(train)}
    assert named(diagnosis, "Duplicates: 225 rows of train").n_rows == 225


@pytest.mark.parametrize("seed", [0, 1])
def test_flipped_labels_of_banking77(public_data: Path, seed: int) -> None:
    """5 % of the labels of train replaced at random: 80 % of them found, with a precision of 60 %, or better."""
    data = load_dataset("banking77")
    rng = np.random.default_rng(seed)
    flipped = set(np.flatnonzero(rng.random(len(data["train"])) < 0.05).tolist())
    rows = []
    for number, example in enumerate(data["train"]):
        labels = example.labels
        if number in flipped:
            others = [label for label in data.labels if label not in labels]
            labels = (others[rng.integers(len(others))],)
        rows.append(Example(example.text, labels))
    diagnosis = diagnose(RowTable.of(Dataset.from_examples({"train": rows})))
    suspects = {fix.row - 1 for fix in named(diagnosis, "Suspected label error").fixes}
    hits = len(suspects & flipped)
    assert hits / len(flipped) >= 0.8, hits / len(flipped)
    assert hits / len(suspects) >= 0.6, hits / len(suspects)
    assert diagnosis.findings[0].worth is not None


@pytest.mark.parametrize("name", ["atis", "snips", "banking77", "clinc150", "mixatis", "mixsnips"])
def test_nine_in_ten_proposed_relabellings_are_right(public_data: Path, name: str) -> None:
    """5 % of the labels of train replaced, at random or by similar ones; every proposal for another row is wrong."""
    benchmark = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "doctor_precision.py"))
    examples = list(load_dataset(name, Reading(unlabelled="out_of_scope"))["train"])
    rows = min(len(examples), 10_000)
    found = sum((benchmark["once"](examples, rows, flips, 0.05, 30) for flips in ("uniform", "near")), Counter())
    assert found["yes"] >= 5 and found["right"] >= 0.9 * found["yes"], found
