"""Metrics against scikit-learn and against what can be checked by hand."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from purport import Dataset, Example, Task
from purport.evaluation.evaluate import Answered, Bootstrap, measure
from purport.evaluation.metrics import all_metrics
from purport.evaluation.outcome import Outcome
from purport.labels import LabelSet
from purport.model import Answers


@st.composite
def outcomes(draw: st.DrawFn, task: Task = Task.MULTILABEL) -> Outcome:
    n, labels = draw(st.integers(1, 12)), draw(st.integers(2, 5))
    # Few distinct scores, so that ties are common.
    score = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
    proba = np.array(draw(st.lists(st.lists(score, min_size=labels, max_size=labels), min_size=n, max_size=n)))
    if task is Task.MULTILABEL:
        bits = st.lists(st.lists(st.booleans(), min_size=labels, max_size=labels), min_size=n, max_size=n)
        gold = np.array(draw(bits))
        return Outcome(gold, proba >= 0.5, proba.astype(np.float32), task)
    # The class after the last label is no label: out of scope, or rejected.
    classes = draw(st.lists(st.integers(0, labels), min_size=n, max_size=n))
    rows = np.eye(labels + 1, dtype=np.bool_)[:, :labels]
    proba = proba + 1e-3
    proba /= proba.sum(axis=1, keepdims=True)
    decided = proba.argmax(axis=1)
    decided[draw(st.lists(st.booleans(), min_size=n, max_size=n))] = labels
    return Outcome(rows[classes], rows[decided], proba.astype(np.float32), task)


def given_by(outcome: Outcome) -> Answers:
    """The answers that ``outcome`` may come from."""
    n = len(outcome)
    return Answers(outcome.probabilities, np.ones(n, dtype=np.float32), np.zeros(n, dtype=np.bool_))


def plain(outcome: Outcome) -> dict[str, float]:
    return {name: float(value[0]) for name, value in all_metrics(outcome, np.ones((1, len(outcome)))).items()}


def close(ours: float, theirs: float) -> bool:
    return math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-7)


@settings(max_examples=120, deadline=None)
@given(outcomes())
def test_multilabel_metrics_are_those_of_scikit_learn(outcome: Outcome) -> None:
    gold, decided, proba = outcome.gold, outcome.decided, outcome.probabilities
    ours = plain(outcome)
    some = [label for label in range(gold.shape[1]) if gold[:, label].any()]
    pairs: dict[str, Callable[..., Any]] = {
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "f1": sk.f1_score,
        "jaccard": sk.jaccard_score,
    }
    for name, theirs in pairs.items():
        if gold.any() and decided.any():
            assert close(ours[f"{name}_micro"], theirs(gold, decided, average="micro", zero_division=0))
        if some:
            mean = theirs(gold, decided, average="macro", labels=some, zero_division=0)
            assert close(ours[f"{name}_macro"], mean)
            assert close(ours[f"{name}_weighted"], theirs(gold, decided, average="weighted", zero_division=0))
        else:
            assert math.isnan(ours[f"{name}_macro"])
        # scikit-learn counts rows that are rightly empty as 0; here they are right.
        both_empty = ~gold.any(axis=1) & ~decided.any(axis=1)
        samples = theirs(gold, decided, average="samples", zero_division=0) + both_empty.mean()
        assert close(ours[f"{name}_samples"], samples)
    assert close(ours["subset_accuracy"], sk.accuracy_score(gold, decided))
    assert close(ours["hamming_loss"], sk.hamming_loss(gold, decided))
    two_sided = [label for label in some if not gold[:, label].all()]
    if two_sided:
        areas = [sk.roc_auc_score(gold[:, label], proba[:, label]) for label in two_sided]
        assert close(ours["roc_auc_macro"], float(np.mean(areas)))
    if some:
        means = [sk.average_precision_score(gold[:, label], proba[:, label]) for label in some]
        assert close(ours["average_precision_macro"], float(np.mean(means)))
    rows = gold.any(axis=1)
    if rows.any():
        assert close(ours["coverage_error"], sk.coverage_error(gold[rows], proba[rows]))
    rows &= ~gold.all(axis=1)
    if rows.any():
        assert close(ours["ranking_loss"], sk.label_ranking_loss(gold[rows], proba[rows]))


def as_classes(labels: np.ndarray) -> np.ndarray:
    """The class of each row; no label is the class after the last."""
    return np.where(labels.any(axis=1), labels.argmax(axis=1), labels.shape[1])


@settings(max_examples=200, deadline=None)
@given(outcomes(Task.MULTICLASS))
def test_multiclass_metrics_are_those_of_scikit_learn(outcome: Outcome) -> None:
    gold, decided = as_classes(outcome.gold), as_classes(outcome.decided)
    ours, none = plain(outcome), outcome.gold.shape[1]
    assert close(ours["accuracy"], sk.accuracy_score(gold, decided))
    present = sorted(set(gold.tolist()))
    assert close(ours["balanced_accuracy"], sk.recall_score(gold, decided, average="macro", labels=present))
    if len(set(gold) | set(decided)) > 1:
        assert close(ours["cohen_kappa"], sk.cohen_kappa_score(gold, decided))
    if len(set(gold)) > 1 and len(set(decided)) > 1:
        assert close(ours["matthews_correlation"], sk.matthews_corrcoef(gold, decided))
    labels = [label for label in present if label != none]
    inside = gold != none
    if not labels:
        assert math.isnan(ours["f1_macro"]) and math.isnan(ours["log_loss"])
        return
    for average in ("macro", "weighted"):
        theirs = sk.f1_score(gold, decided, average=average, labels=labels, zero_division=0)
        assert close(ours[f"f1_{average}"], theirs)
    every = list(range(none))
    theirs = sk.log_loss(gold[inside], outcome.probabilities[inside], labels=every)
    assert math.isclose(ours["log_loss"], theirs, rel_tol=1e-4)


@settings(max_examples=200, deadline=None)
@given(outcomes() | outcomes(Task.MULTICLASS))
def test_out_of_scope_is_a_class_with_precision_and_recall(outcome: Outcome) -> None:
    gold, decided = ~outcome.gold.any(axis=1), ~outcome.decided.any(axis=1)
    ours = plain(outcome)
    assert close(ours["out_of_scope_gold"], gold.mean()) and close(ours["out_of_scope_decided"], decided.mean())
    precision, recall = ours["out_of_scope_precision"], ours["out_of_scope_recall"]
    assert close(precision, sk.precision_score(gold, decided)) if decided.any() else math.isnan(precision)
    assert close(recall, sk.recall_score(gold, decided)) if gold.any() else math.isnan(recall)


def calibration_error(cases: list[tuple[float, bool]]) -> float:
    """Naeini et al. (2015), as the paper writes it: a loop over 15 bins."""
    error = 0.0
    for index in range(15):
        inside = [case for case in cases if min(int(case[0] * 15), 14) == index]
        if inside:
            gap = abs(np.mean([p for p, _ in inside]) - np.mean([true for _, true in inside]))
            error += len(inside) / len(cases) * gap
    return error


@settings(max_examples=200, deadline=None)
@given(outcomes() | outcomes(Task.MULTICLASS))
def test_calibration_errors_count_the_answers_given(outcome: Outcome) -> None:
    ours, proba = plain(outcome), outcome.probabilities.astype(float)
    top = [(float(row.max()), bool(gold[row.argmax()])) for row, gold in zip(proba, outcome.gold, strict=True)]
    assert close(ours["top_label_calibration_error"], calibration_error(top))
    given = [(float(proba[at]), bool(outcome.gold[at])) for at in zip(*outcome.decided.nonzero(), strict=True)]
    error = ours["decided_calibration_error"]
    assert close(error, calibration_error(given)) if given else math.isnan(error)
    pairs = [(float(p), bool(g)) for p, g in zip(proba.ravel(), outcome.gold.ravel(), strict=True)]
    cases = pairs if outcome.task is Task.MULTILABEL else top
    assert close(ours["expected_calibration_error"], calibration_error(cases))


@settings(max_examples=100, deadline=None)
@given(outcomes() | outcomes(Task.MULTICLASS))
def test_promises_are_counted_label_by_label(outcome: Outcome) -> None:
    examples = [Example(f"text {row}", ()) for row in range(len(outcome))]
    names = LabelSet([f"label {column}" for column in range(outcome.gold.shape[1])])
    answered = Answered(examples, outcome, names.names, names, given_by(outcome))
    found = measure(answered, Dataset.from_examples({"test": examples})["test"], resamples=20)
    given = [
        (float(outcome.probabilities[at]), bool(outcome.gold[at]))
        for at in zip(*outcome.decided.nonzero(), strict=True)
    ]
    for promise, inside in zip(found.answers, (given, [case for case in given if case[0] > 0.95]), strict=True):
        assert promise.n == len(inside)
        if inside:
            assert promise.confidence == pytest.approx(np.mean([p for p, _ in inside]), abs=1e-6)
            assert promise.right.value == pytest.approx(np.mean([true for _, true in inside]), abs=1e-6)
        else:
            assert promise.confidence is None and promise.right.value is None


def test_many_rightly_small_probabilities_do_not_hide_answers_that_are_too_sure() -> None:
    rng = np.random.default_rng(0)
    n, labels = 400, 20
    gold = np.zeros((n, labels), dtype=np.bool_)
    gold[np.arange(n), rng.integers(0, labels, n)] = True
    shown = gold.argmax(axis=1)
    wrong = rng.random(n) < 0.21
    shown[wrong] = (shown[wrong] + 1) % labels
    proba = np.full((n, labels), 0.001, dtype=np.float32)
    proba[np.arange(n), shown] = 0.97
    found = Bootstrap.of(Outcome(gold, proba > 0.5, proba, Task.MULTILABEL), 100, 0)
    assert found.metrics["expected_calibration_error"].value < 0.025  # type: ignore[operator]
    for name in ("decided_calibration_error", "top_label_calibration_error"):
        assert found.metrics[name].value == pytest.approx(0.97 - 0.79, abs=0.05)
    assert found.right_above[1].high is not None and found.right_above[1].high < 0.9


@settings(max_examples=100, deadline=None)
@given(outcomes() | outcomes(Task.MULTICLASS), st.integers(0, 9))
def test_weights_are_repetitions(outcome: Outcome, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 3, len(outcome))
    weights[0] += 1
    repeated = Outcome(
        np.repeat(outcome.gold, weights, axis=0),
        np.repeat(outcome.decided, weights, axis=0),
        np.repeat(outcome.probabilities, weights, axis=0),
        outcome.task,
    )
    weighted = all_metrics(outcome, weights[None, :].astype(np.float64))
    for name, value in plain(repeated).items():
        ours = float(weighted[name][0])
        assert (math.isnan(value) and math.isnan(ours)) or close(ours, value), name


@pytest.mark.parametrize("task", list(Task))
def test_calibration_error_by_hand(task: Task) -> None:
    proba = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], dtype=np.float32)
    gold = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.bool_)
    # multiclass: confidence 0.9, right 3 of 4; multilabel: the same gap in two bins, the mean is the same.
    assert close(plain(Outcome(gold, proba > 0.5, proba, task))["expected_calibration_error"], 0.15)


@settings(max_examples=60, deadline=None)
@given(outcomes() | outcomes(Task.MULTICLASS))
def test_no_nan_leaves_and_intervals_hold_the_value_of_most(outcome: Outcome) -> None:
    found = Bootstrap.of(outcome, 60, 0)
    for estimate in [*found.metrics.values(), *functools.reduce(operator.iadd, found.labels.values(), [])]:
        for number in (estimate.value, estimate.low, estimate.high):
            assert number is None or math.isfinite(number)
        if estimate.low is not None:
            assert estimate.high is not None and estimate.low <= estimate.high


def test_degenerate_splits() -> None:
    for gold in (np.zeros((1, 3), bool), np.ones((1, 3), bool), np.zeros((4, 3), bool), np.ones((4, 3), bool)):
        proba = np.full(gold.shape, 0.5, dtype=np.float32)
        found = Bootstrap.of(Outcome(gold, proba > 0.9, proba, Task.MULTILABEL), 20, 0).metrics
        assert found["subset_accuracy"].value == float(not gold.any())
        assert (found["f1_macro"].value is None) == (not gold.any())
        assert found["roc_auc_macro"].value is None


def test_an_interval_covers_as_often_as_it_says() -> None:
    rng, truth, covered, runs = np.random.default_rng(1), 0.8, 0, 200
    for run in range(runs):
        right = rng.random(200) < truth
        gold = np.ones((200, 1), bool)
        outcome = Outcome(gold, right[:, None], right[:, None].astype(np.float32), Task.MULTILABEL)
        interval = Bootstrap.of(outcome, 200, run).metrics["subset_accuracy"]
        assert interval.low is not None and interval.high is not None
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / runs <= 0.99


def test_a_few_rows_that_are_all_right_or_wrong_prove_little() -> None:
    """Resamples of such rows have no spread: "1.0000 (1.0000 to 1.0000)" stood beside a label with one row."""
    gold = np.array([[True, False]] * 9 + [[False, True]])
    right = Bootstrap.of(Outcome(gold, gold, gold.astype(np.float32), Task.MULTICLASS), 50, 0)
    exact = (0.025 ** (1 / 10), 0.025 ** (1 / 9), 0.025)
    ten, nine, one = right.metrics["accuracy"], right.labels["recall"][0], right.labels["recall"][1]
    assert [each.low for each in (ten, nine, one)] == pytest.approx(exact, abs=1e-6)
    assert [each.high for each in (ten, nine, one)] == [1, 1, 1]
    assert right.right_above[0].low == pytest.approx(exact[0], abs=1e-6)
    wrong = Bootstrap.of(Outcome(gold, ~gold, 1 - gold.astype(np.float32), Task.MULTICLASS), 50, 0)
    assert (wrong.labels["f1"][1].low, wrong.labels["precision"][1].high) == pytest.approx((0, 1 - 0.025 ** (1 / 9)))
    assert wrong.metrics["out_of_scope_gold"].high == pytest.approx(1 - exact[0], abs=1e-6)


def test_a_mean_that_is_no_share_keeps_its_percentiles() -> None:
    gold = np.eye(2, dtype=bool)
    found = Bootstrap.of(Outcome(gold, gold, gold.astype(np.float32), Task.MULTILABEL), 50, 0).metrics["coverage_error"]
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_rows_that_do_not_enter_a_metric_do_not_narrow_its_interval() -> None:
    gold = np.zeros((500, 2), dtype=bool)
    gold[:3, 0] = True
    found = Bootstrap.of(Outcome(gold, gold, gold.astype(np.float32), Task.MULTILABEL), 50, 0).metrics
    for name in ("recall_micro", "precision_macro", "f1_micro"):
        assert found[name].low == pytest.approx(0.025 ** (1 / 3), abs=1e-6)
    assert found["subset_accuracy"].low == pytest.approx(0.025 ** (1 / 500), abs=1e-6)
