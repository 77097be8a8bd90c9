"""The model card says what is so: a card that claims what was never done sells a model under a false name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from purport import Bundle, Dataset, Example, Task
from purport.data.facts import DataFacts, data_facts
from purport.evaluation.evaluate import Evaluation, LabelResult
from purport.evaluation.resampling import Estimate
from purport.manifest import Likeliest, Manifest, ModelFacts, PerLabel, Provenance, Temperature
from purport.training.card import model_card
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

FITTED = "fitted on the validation split"
UNDEFINED = Estimate(value=None, low=None, high=None)


def manifest(**changes: Any) -> Manifest:
    """A multilabel model of three labels that was neither calibrated nor fitted to anything."""
    fields: dict[str, Any] = {
        "kind": "linear",
        "opener": "linear",
        "task": Task.MULTILABEL,
        "labels": ("cat", "dog", "bird"),
        "model": ModelFacts(limit=20, unit="words"),
        "decision": PerLabel(thresholds=(0.5, 0.5, 0.5), fitted=False),
        "provenance": Provenance(
            dataset="animals", fingerprint="0123456789abcdefgh", rows={"test": 2, "valid": 3, "train": 1234}
        ),
    }
    return Manifest(**{**fields, **changes})


def evaluation(**changes: Any) -> Evaluation:
    exact, f1 = Estimate(value=0.75, low=0.5, high=1.0), Estimate(value=0.5, low=0.25, high=0.625)
    label = LabelResult(support=4, predicted=2, precision=exact, recall=f1, f1=f1)
    fields: dict[str, Any] = {
        "dataset": "animals", "split": "valid", "fingerprint": "", "task": Task.MULTILABEL, "n": 1000, "level": 0.95,
        "resamples": 10, "seed": 0, "metrics": {"f1_micro": f1, "roc_auc_macro": UNDEFINED}, "unseen_labels": {},
        "left_out": [], "labels": {"cat": label.model_copy(update={"f1": exact}), "dog": label},
    }  # fmt: skip
    return Evaluation(**{**fields, **changes})


@pytest.fixture
def facts(animals: Dataset) -> DataFacts:
    return data_facts(animals)


def fact(card: str, name: str) -> str:
    """What the card says at ``name``."""
    [found] = re.findall(rf"^- \*\*{re.escape(name)}\*\*(?: \(\d+\))?:? (.*)$", card, re.M)
    return str(found)


def test_probabilities_that_were_not_calibrated_are_not_called_calibrated(facts: DataFacts) -> None:
    card = model_card(manifest(), facts, {})
    assert fact(card, "Calibration") == "none (the model's own probabilities)"
    assert "temperature" not in card


def test_a_temperature_is_named_and_where_it_is_from(facts: DataFacts) -> None:
    card = model_card(manifest(calibration=Temperature(temperature=1.23456)), facts, {})
    assert fact(card, "Calibration") == f"temperature 1.235, {FITTED}"


def test_a_threshold_that_the_recipe_gave_is_not_called_fitted(facts: DataFacts) -> None:
    for threshold, written in ((0.35, "0.35"), (0.5, "0.5")):
        decision = PerLabel(thresholds=(threshold,) * 3, fitted=False)
        card = model_card(manifest(decision=decision), facts, {})
        assert fact(card, "Decision") == f"every label with a probability of at least {written} (set in the recipe)"


def test_each_fitted_threshold_is_named(facts: DataFacts) -> None:
    card = model_card(manifest(decision=PerLabel(thresholds=(0.5, 0.123456, 0.7))), facts, {})
    assert (
        fact(card, "Decision")
        == f"every label with a probability of at least 0.5; thresholds {FITTED}: dog 0.123, bird 0.7"
    )
    card = model_card(manifest(decision=PerLabel(thresholds=(0.5, 0.5, 0.5))), facts, {})
    assert fact(card, "Decision") == "every label with a probability of at least 0.5", "none moved"


def test_a_multiclass_card_says_what_is_out_of_scope(facts: DataFacts) -> None:
    for decision, expected in (
        (Likeliest(), "the most likely label"),
        (Likeliest(reject_below=0.3), "the most likely label; out of scope below 0.3 (set in the recipe)"),
    ):
        card = model_card(manifest(task=Task.MULTICLASS, decision=decision), facts, {})
        assert fact(card, "Decision") == expected
        assert card.startswith("# animals: multiclass intent classifier\n")


def test_a_card_names_the_model_the_labels_the_data_and_the_checks(facts: DataFacts) -> None:
    card = model_card(manifest(checks={"batch_flips": 0.0, "agreement_with_torch": 0.9951}), facts, {})
    assert fact(card, "Kind") == "linear (limit 20, unit words)"
    assert fact(card, "Labels") == "`cat`, `dog`, `bird`"
    assert fact(card, "Data") == "animals (1,234 train, 3 valid, 2 test rows), fingerprint `0123456789abcdef`"
    assert "- **Check** agreement with torch: 0.9951\n" in card and "- **Check** batch flips: 0\n" in card


def test_defects_of_the_data_are_told_where_there_are_any() -> None:
    rows = [Example("a cat", ("cat",))] * 9 + [Example("A cat!", ("dog",)), Example("cat and dog", ("cat", "dog"))]
    data = data_facts(
        Dataset.from_examples({"train": rows, "test": [Example("a CAT", ("cat",)), Example("a cow", ("cat",))]})
    )
    card = model_card(manifest(), data, {})
    assert "`cat`, 83.3 % of all gold labels.\n- Training rows with several labels: 1.\n" in card
    assert "fewer than 10 training rows, likely to be unreliable: `dog` (2)." in card
    assert "repeat the text of an earlier row: 9. " in card
    assert "whose text also has different labels elsewhere: 10." in card
    assert "Rows of test whose text is also in train: 1. They make metrics look too good." in card


def test_clean_data_is_given_no_defects() -> None:
    rows = [Example(f"cat number {number}", ("cat",)) for number in range(10)]
    data = data_facts(Dataset.from_examples({"train": rows, "test": [Example("a cow", ("cat",))]}))
    card = model_card(manifest(), data, {})
    assert "`cat`, 100.0 % of all gold labels.\n- Training rows with several labels: 0.\n" in card
    for defect in ("fewer than", "repeat", "different labels", "also in train"):
        assert defect not in card


def test_what_was_measured_is_told_with_its_intervals_the_weakest_label_first(facts: DataFacts) -> None:
    card = model_card(manifest(), facts, {"valid": evaluation()})
    assert "## Results on valid (1,000 rows)" in card and "Results on test" not in card
    assert "| f1_micro | 0.5000 | 0.2500 to 0.6250 |" in card
    assert "| roc_auc_macro | – | – |" in card, "what is undefined is no number"
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", card, re.M)
    assert rows == [
        ("dog", "4 | 0.7500 | 0.5000 | 0.5000 | 0.2500 to 0.6250"),
        ("cat", "4 | 0.7500 | 0.5000 | 0.7500 | 0.5000 to 1.0000"),
    ]


def test_labels_that_were_not_measured_or_not_known_are_named(facts: DataFacts) -> None:
    undefined = LabelResult(support=0, predicted=1, precision=UNDEFINED, recall=UNDEFINED, f1=UNDEFINED)
    found = evaluation(labels={"bird": undefined}, left_out=["bird"], unseen_labels={"cow": 7})
    card = model_card(manifest(), facts, {"test": found})
    assert "Excluded from averages over labels, as they have no gold rows: bird." in card
    assert '"cow" (7 rows) is not a label of the model; these rows count as errors.' in card
    assert "| `bird` |" not in card


def test_every_number_of_a_trained_models_card_is_in_its_documents(linear_bundle: Bundle) -> None:
    card = (linear_bundle.path / "README.md").read_text("utf-8")
    measured = json.loads((linear_bundle.path / "evaluation.json").read_text("utf-8"))
    sections = card.split("\n## Results on ")[1:]
    assert [section.split()[0] for section in sections] == list(measured) == ["valid", "test"]
    for section, (name, found) in zip(sections, measured.items(), strict=True):
        assert section.startswith(f"{name} ({found['n']} rows)")
        metrics = dict(re.findall(r"^\| (\w+) \| ([\d.]+) \|", section, re.M))
        expected = {metric: estimate["value"] for metric, estimate in found["metrics"].items()}
        assert {metric: float(value) for metric, value in metrics.items()} == pytest.approx(expected, abs=5e-5)
    calibration = linear_bundle.manifest.calibration
    assert isinstance(calibration, Temperature) and f"temperature {calibration.temperature:.4g}" in card
    assert isinstance(linear_bundle.manifest.decision, PerLabel) and linear_bundle.manifest.decision.fitted
    thresholds = dict(re.findall(r"(\w+) ([\d.]+)(?:,|;|$)", fact(card, "Decision").partition(": ")[2]))
    pairs = zip(linear_bundle.labels, linear_bundle.manifest.decision.thresholds, strict=True)
    moved = {label: threshold for label, threshold in pairs if threshold != 0.5}
    assert moved and {label: float(value) for label, value in thresholds.items()} == pytest.approx(moved, rel=5e-3)


def test_a_run_that_fitted_nothing_writes_a_card_that_says_so(tmp_path: Path) -> None:
    lines = [f"{animal} number {number}\t{animal}" for animal in ("cat", "dog") for number in range(6)]
    for split in ("train", "valid"):
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    data = {"name": str(tmp_path), "valid": "valid"}
    for task, decide, expected in (
        (
            "multilabel",
            {"thresholds": "fixed", "threshold": 0.4},
            "every label with a probability of at least 0.4 (set in the recipe)",
        ),
        ("multiclass", {"reject_below": 0.2}, "the most likely label; out of scope below 0.2 (set in the recipe)"),
    ):
        recipe = {"kind": "linear", "task": task, "data": data, "decide": {"calibration": "none", **decide}}
        bundle = train(parse_recipe(recipe), tmp_path / task)
        assert bundle is not None
        card = (bundle.path / "README.md").read_text("utf-8")
        assert fact(card, "Decision") == expected and fact(card, "Calibration").startswith("none")
