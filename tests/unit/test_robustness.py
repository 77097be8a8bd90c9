"""Perturbed texts: the same for every bundle; what they cost is measured, shown and gated."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purport import Bundle, Classifier, Dataset, Example
from purport.data.dataset import Split
from purport.data.noise import typos, without_punctuation
from purport.errors import GateInvalid
from purport.evaluation.compare import compare
from purport.evaluation.compare_page import page as compare_page
from purport.evaluation.report import report_on
from purport.evaluation.report_page import page as report_page
from purport.evaluation.robustness import (
    CLEAN,
    PERTURBATIONS,
    drawn,
    measure_robustness,
    perturbed,
    sampled,
)
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

TEXT = "Where's my parcel, please? It cost 3.50!"
WORDS = {"pay": "invoice", "ship": "parcel", "lock": "password", "shop": "opening"}


def errors_between(text: str) -> set[str]:
    """Every text that is one typing error away: a letter left out, doubled, swapped with the next or replaced."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    found = set()
    for at, letter in enumerate(text):
        head, tail = text[:at], text[at + 1 :]
        found |= {head + tail, head + letter * 2 + tail, head + tail[:1] + letter + tail[1:]}
        found |= {head + other + tail for other in letters + letters.upper()}
    return found - {text}


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("aabLz² 9-"), max_size=12), st.integers(0, 5))
def test_a_typo_is_one_error_in_a_word_and_always_changes_the_text(text: str, seed: int) -> None:
    wrong = typos(text, 1, np.random.default_rng(seed))
    words = ["".join(run) for _, run in itertools.groupby(text, lambda c: c.isalnum() and not c.isdecimal())]
    if any(len(word) > 1 and word[0].isalnum() and not word[0].isdecimal() for word in words):
        assert wrong in errors_between(text)
    else:
        assert wrong == text


def test_equal_letters_are_not_swapped_with_each_other() -> None:
    assert "ll" not in {typos("ll", 1, np.random.default_rng(seed)) for seed in range(60)}


def test_a_letter_does_not_leave_its_word() -> None:
    for seed in range(100):
        first, _, second = typos("ab cd", 1, np.random.default_rng(seed)).partition(" ")
        assert first == "ab" or second == "cd"


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (TEXT, "Where's my parcel please It cost 3.50"),
        ("Call me at 10:30 (or so)... “ok”?!", "Call me at 10:30 or so ok"),
        ("¿Dónde está?", "Dónde está"),
        ("退款。谢谢！", "退款 谢谢"),
        ("C++ & C#", "C++ & C#"),
        ("?!", "?!"),
    ],
)
def test_marks_go_and_numbers_stay(text: str, bare: str) -> None:
    assert without_punctuation(text) == bare


def test_each_perturbation_does_what_its_name_says() -> None:
    made = {name: each.of(TEXT) for name, each in PERTURBATIONS.items()}
    assert made["typo_1"] in errors_between(TEXT)
    assert any(made["typo_3"] in errors_between(two) for two in errors_between(made["typo_1"]))
    assert made["upper_case"] == "WHERE'S MY PARCEL, PLEASE? IT COST 3.50!"
    assert made["no_punctuation"] == without_punctuation(TEXT)
    assert made["greeting"].endswith(f" {TEXT}") and made["politeness"].startswith(f"{TEXT} ")
    assert "thank" in made["politeness"].lower()
    before, _, after = made["email"].partition(f"\n\n{TEXT}\n\n")
    assert before.startswith("Dear") and "regards" in after and 60 < len(f"{before} {after}".split()) < 150


def test_a_text_is_perturbed_alike_wherever_it_stands_and_not_as_another_is() -> None:
    rows = [Example(f"where is my parcel number {n}", ("track",), row=n + 1) for n in range(50)]
    for name in PERTURBATIONS:
        texts = list(perturbed(rows, name).texts)
        assert texts == list(perturbed(rows, name).texts)
        assert texts[::-1] == list(perturbed(rows[::-1], name).texts)
        assert texts[7:9] == list(perturbed(rows[7:9], name).texts)
    assert [row.row for row in perturbed(rows, "typo_1")] == [row.row for row in rows]
    places = {PERTURBATIONS["typo_1"].of("where is my parcel", seed) for seed in range(30)}
    assert len(places) > 10, "another seed makes other errors"
    assert list(perturbed(rows, CLEAN)) == rows


def test_the_rows_that_are_drawn_do_not_depend_on_their_order() -> None:
    rows = [Example(f"row {n}", (str(n % 3),)) for n in range(400)]
    chosen = {rows[at].text for at in sampled(rows, 100)}
    backwards = rows[::-1]
    assert len(chosen) == 100 and {backwards[at].text for at in sampled(backwards, 100)} == chosen
    assert 20 < sum(int(text.split()[1]) < 200 for text in chosen) < 80, "from everywhere"
    assert sampled(rows, 400) == list(range(400))
    assert {rows[at].text for at in sampled(rows, 100, seed=1)} != chosen
    assert drawn(5, 5) == "5 rows" and drawn(100, 4000).startswith("100 of 4,000 rows")


def trained(target: Path, **model: object) -> Classifier:
    """A linear model: each label has a word."""
    lines = [f"{word} number {n}\t{label}" for label, word in WORDS.items() for n in range(12)]
    target.mkdir()
    (target / "train.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    recipe = {"kind": "linear", "task": "multiclass", "data": {"name": str(target), "valid": 0.25}, "model": model}
    bundle = train(parse_recipe(recipe), target / "bundle")
    assert bundle is not None
    return Classifier.open(bundle)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Classifier]:
    """A model of parts of words, and one of whole words, which a typing error takes away from it."""
    root = tmp_path_factory.mktemp("pair")
    return trained(root / "parts"), trained(root / "whole", characters=[0, 0])


@pytest.fixture(scope="module")
def split() -> Split:
    rows = [Example(f"{word} {n}", (label,)) for label, word in WORDS.items() for n in range(100, 130)]
    return Dataset.from_examples({"test": rows})["test"]


def test_a_bundle_that_breaks_under_typos_is_caught_by_the_gate(
    pair: tuple[Classifier, Classifier], split: Split
) -> None:
    parts, whole = pair
    gate = "exact_match>=-0.01,typo_1>=-0.02,typo_3.high>=-0.02"
    found = compare(parts, whole, split, resamples=50, gate=gate)
    assert [each.holds for each in found.gates] == [True, False, False], "as good on clean texts, not on typed ones"
    assert found.robustness is not None and list(found.robustness.exact_match) == [CLEAN, "typo_1", "typo_3"]
    assert found.robustness.exact_match[CLEAN].difference.value == 0.0
    assert compare(whole, whole, split, resamples=50, gate=gate).passed
    assert compare(whole, parts, split, resamples=50, gate=gate).passed
    html = compare_page(found)
    assert "Robustness" in [section.title for section in html.sections]


def test_the_difference_is_that_of_the_answers_to_the_same_texts(
    pair: tuple[Classifier, Classifier], split: Split
) -> None:
    found = compare(*pair, split, resamples=20, robustness=True)
    assert found.robustness is not None and list(found.robustness.exact_match) == [CLEAN, *PERTURBATIONS]
    for name in PERTURBATIONS:
        texts = [PERTURBATIONS[name].of(example.text) for example in split]
        right = [
            [given.labels == labels for given, labels in zip(side.predict(texts), split.gold, strict=True)]
            for side in pair
        ]
        change = found.robustness.exact_match[name]
        assert (change.a, change.b) == tuple(pytest.approx(np.mean(each), abs=1e-6) for each in right)
        alone = {each.name: each for each in measure_robustness(pair[1], split, resamples=20).results}
        assert alone[name].exact_match.value == pytest.approx(change.b, abs=1e-6)


def test_robustness_is_measured_only_on_request_and_names_are_suggested(
    pair: tuple[Classifier, Classifier], split: Split
) -> None:
    found = compare(*pair, split, resamples=10, gate="flips<=1")
    assert found.robustness is None
    for wrong, said in (("typo1>=0", 'Did you mean "typo_1"'), ("typo_3.lo>=0", 'Did you mean "typo_3.low"'),
                        ("uppercase>=0", 'Did you mean "upper_case"'), ("typo_1>=0", "was not measured")):  # fmt: skip
        with pytest.raises(GateInvalid, match=said):
            found.gated(wrong)
    with pytest.raises(GateInvalid, match='Did you mean "email"'):
        compare(*pair, split, resamples=10, gate="e_mail>=0")


def test_the_report_shows_each_way_of_writing(
    pair: tuple[Classifier, Classifier], split: Split, tmp_path: Path
) -> None:
    whole = pair[1]
    measured = measure_robustness(whole, split, resamples=20)
    results = {each.name: each for each in measured.results}
    assert list(results) == [CLEAN, *PERTURBATIONS] and (measured.n, measured.rows) == (len(split), len(split))
    assert results[CLEAN].changed.value == 0.0 and results["no_punctuation"].touched == 0
    once, thrice, clean = (results[name].exact_match.value for name in ("typo_1", "typo_3", CLEAN))
    assert thrice is not None and once is not None and clean is not None and thrice <= once < clean == 1.0
    assert results["typo_1"].difference.value == pytest.approx(once - clean, abs=1e-6)
    assert results["typo_1"].changed.value == pytest.approx(1 - once, abs=1e-6), "all were right before"
    found = report_on(whole, split, resamples=10).model_copy(update={"robustness": measured})
    html = report_page(found).write(tmp_path / "page").read_text("utf-8")
    for result in measured.results:
        assert result.title in html
    assert "no punctuation; changes 0 texts" in html
    facts = json.loads((tmp_path / "page" / "facts.json").read_text("utf-8"))
    assert [each["name"] for each in facts["robustness"]["results"]] == list(results)
    assert "Robustness" not in [
        section.title for section in report_page(report_on(whole, split, resamples=10)).sections
    ]


def test_a_multilabel_bundle_and_labels_it_does_not_know(linear_bundle: Bundle, sample: Dataset) -> None:
    rows = [*list(sample["test"])[:60], Example("sing me a song", ("music",)), Example("nice weather", ())]
    split = Dataset.from_examples({"test": rows})["test"]
    found = measure_robustness(Classifier.open(linear_bundle), split, most=40, resamples=10)
    assert (found.n, found.rows) == (40, 62)
    chosen = [rows[at] for at in sampled(rows, 40)]
    for each in found.results:
        given = Classifier.open(linear_bundle).predict(list(perturbed(chosen, each.name).texts))
        sets = [(set(row.labels), set(answer.labels)) for row, answer in zip(chosen, given, strict=True)]
        assert each.exact_match.value == pytest.approx(np.mean([gold == said for gold, said in sets]), abs=1e-6)
        hits, cases = (sum(map(len, part)) for part in ([g & s for g, s in sets], [[*g, *s] for g, s in sets]))
        assert each.f1_micro.value == pytest.approx(2 * hits / cases, abs=1e-6)
