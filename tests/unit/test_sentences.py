"""What is said first of an evaluation: a number that hides an overconfident model is worse than none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from purport import Classifier, Dataset, Example, Task
from purport.evaluation.evaluate import Answered, Evaluation, evaluate, measure
from purport.evaluation.outcome import Outcome
from purport.evaluation.report import report_on
from purport.evaluation.report_page import page
from purport.evaluation.sentences import calibration_warnings, headline, notes, warnings_of
from purport.labels import LabelSet
from purport.manifest import Calibration, Decision, Likeliest, PerLabel, Temperature, Uncalibrated
from purport.model import Answers
from purport.testing import Recorder
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe


def measured(gold: list[list[int]], proba: list[list[float]], task: Task = Task.MULTILABEL) -> Evaluation:
    """An evaluation of two labels, a and b, decided from 0.5."""
    names, given = LabelSet("ab"), np.array(proba, dtype=np.float32)
    examples = [
        Example(f"text {row}", tuple(names.names[label] for label in labels)) for row, labels in enumerate(gold)
    ]
    outcome = Outcome(names.encode(example.labels for example in examples), given >= 0.5, given, task)
    answers = Answers(given, given.max(axis=1), np.zeros(len(gold), dtype=np.bool_))
    answered = Answered(examples, outcome, names.names, names, answers)
    return measure(answered, Dataset.from_examples({"test": examples})["test"], resamples=100)


def test_the_answers_given_come_first_with_what_they_promise() -> None:
    sure = [[0.97, 0.01]] * 40
    decided, above, _ = headline(measured([[0]] * 32 + [[1]] * 8, sure))
    assert decided == "labels decided: 40, of which 80.0 % right (confidence 97.0 %), too sure"
    assert above == "answers above 0.95: 40, of which 80.0 % right (confidence 97.0 %), too sure"
    decided, above, _ = headline(measured([[0]] * 39 + [[1]], [[0.94, 0.01]] * 40))
    assert decided == "labels decided: 40, of which 97.5 % right (confidence 94.0 %)"
    assert above == "answers above 0.95: none"
    # Two wrong answers at 0.7 happen by chance; six do not.
    for rows, too_few in ((2, False), (6, True)):
        decided, *_ = headline(measured([[1]] * rows, [[0.7, 0.01]] * rows))
        assert decided.endswith("too sure") == too_few


@pytest.mark.parametrize("task", list(Task))
def test_out_of_scope_is_said_and_undefined_is_not_a_number(task: Task) -> None:
    yes, no = [0.9, 0.1], [0.2, 0.1]
    *_, said = headline(measured([[0], [0], [], []], [yes, no, no, yes], task))
    assert (
        said == "out of scope: 2 of 4 rows (50.0 %), no label decided for 2 (50.0 %); precision 50.0 %, recall 50.0 %"
    )
    *_, said = headline(measured([[0], []], [yes, yes], task))
    assert said.endswith("precision –, recall 0.0 % (every row got a label, so precision is undefined)")
    *_, said = headline(measured([[0], [0]], [yes, no], task))
    assert said.endswith("precision 0.0 %, recall – (no row is out of scope, so recall is undefined)")
    *_, said = headline(measured([[0]], [yes], task))
    assert said == "out of scope: no row is, and every row got a label, so precision and recall are undefined"
    *_, said = headline(measured([[]], [no], task))
    assert said.startswith("out of scope: 1 of 1 row (100.0 %), no label decided for 1 (100.0 %); precision 100.0 %")


PLAIN, MOVED = PerLabel(thresholds=(0.5, 0.5)), PerLabel(thresholds=(0.5, 0.3))


@pytest.mark.parametrize(
    ("calibration", "decision", "rows", "said"),
    [
        (Temperature(temperature=0.7), PLAIN, 200, []),
        (Temperature(temperature=0.7), PLAIN, 199, ["the temperature rests on 199 validation rows"]),
        (Temperature(temperature=0.7), MOVED, 33, ["the temperature and thresholds rest on 33 validation rows"]),
        (Temperature(temperature=0.7), Likeliest(reject_below=0.4, fitted=True), 1,
         ["the temperature and threshold rest on 1 validation row,"]),
        (Uncalibrated(), MOVED, 33, ["the thresholds rest on 33"]),
        (Uncalibrated(), Likeliest(reject_below=0.4, fitted=True), 33, ["the threshold rests on 33"]),
        (Uncalibrated(), Likeliest(reject_below=0.4), 3, []),
        (Uncalibrated(), PerLabel(thresholds=(0.4, 0.4), fitted=False), 3, []),
        (Temperature(temperature=0.05), PLAIN, 900, ["The temperature 0.05 is the lowest that is tried"]),
        (Temperature(temperature=0.05001), PLAIN, 33, ["is the lowest", "rests on 33"]),
        (Temperature(temperature=19.99998), PLAIN, 900, ["is the highest that is tried"]),
    ],
)  # fmt: skip
def test_doubtful_calibrations_are_told(
    calibration: Calibration, decision: Decision, rows: int, said: list[str]
) -> None:
    found = calibration_warnings(calibration, decision, rows)
    assert len(found) == len(said)
    for warning, part in zip(found, said, strict=True):
        assert part in warning


def test_a_temperature_from_a_few_separable_rows_is_finite_and_warned_of_everywhere(tmp_path: Path) -> None:
    words = {"pay": "invoice", "ship": "parcel", "lock": "password"}
    rng = np.random.default_rng(0)
    lines = [
        f"{word} {' '.join(map(str, rng.integers(0, 10**6, 5)))}\t{label}"
        for label, word in words.items()
        for _ in range(40)
    ]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    recorder = Recorder()
    recipe = {"kind": "linear", "task": "multiclass", "data": {"name": str(tmp_path), "valid": 0.25}}
    bundle = train(parse_recipe(recipe), tmp_path / "bundle", reporter=recorder)
    assert bundle is not None
    warnings = warnings_of(bundle.manifest)
    temperature = bundle.manifest.calibration.temperature
    assert temperature > 1.1 * Temperature.searched[0], "a few rows without an error do not make the model certain"
    assert any("validation rows, fewer than 200" in said for said in warnings)
    assert [f"warning: {said}" for said in warnings] == [line for line in recorder.lines if line.startswith("warning")]
    card = (bundle.path / "README.md").read_text("utf-8")
    split = Dataset.from_examples({"test": [Example("my invoice", ("pay",))]})["test"]
    html = page(report_on(Classifier.open(bundle), split, resamples=10)).write(tmp_path / "page").read_text("utf-8")
    for said in warnings:
        assert f"- **Warning**: {said}" in card
        assert said in html


def test_rows_that_are_all_out_of_scope_or_unknown_are_measured_and_counted(tmp_path: Path) -> None:
    lines = [f"{word} {n}\t{word}" for word in ("नमस्ते", "สวัสดี", "你好") for n in range(9)]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    for task in Task:
        recipe = {"kind": "linear", "task": task, "data": {"name": str(tmp_path), "valid": 0.3}}
        bundle = train(parse_recipe(recipe), tmp_path / task)
        assert bundle is not None
        classifier = Classifier.open(bundle)
        for labels, gold in (((), 1.0), (("music",), 0.0)):
            split = Dataset.from_examples({"test": [Example("qqq", labels)] * 40})["test"]
            found = evaluate(classifier, split, resamples=20)
            assert found.metrics["out_of_scope_gold"].value == gold
            assert (found.metrics["out_of_scope_recall"].value is None) == (gold == 0)
            exact = found.metrics["accuracy" if task is Task.MULTICLASS else "subset_accuracy"].value
            assert exact == (found.metrics["out_of_scope_decided"].value if gold else 0.0)
            said = "\n".join([*headline(found), *notes(found)])
            assert not re.search(r"nan|None", said)
            if labels:
                assert '"music" (40 rows) is not a label of the model; these rows count as errors.' in said
