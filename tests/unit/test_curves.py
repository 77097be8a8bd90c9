"""Curves, intervals and divergences against scikit-learn, scipy, or what can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest
from sklearn import metrics as sk

from purport import Task
from purport.evaluation import curves
from purport.evaluation.explore.drift import jensen_shannon, label_shift, total_variation
from purport.evaluation.explore.measure import ngrams, spread, zipf_slope
from purport.evaluation.outcome import Outcome
from purport.manifest import Temperature, Uncalibrated
from purport.runtime.calibration import probabilities

SCORES = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
PAIRS = st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=40)


def arrays(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([s for s, _ in pairs], dtype=np.float32), np.array([t for _, t in pairs], dtype=np.bool_)


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_roc_curve_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, truth = arrays(pairs)
    found = curves.roc_curve(scores, truth)
    if truth.all() or not truth.any():
        assert found == []
        return
    false, true, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    assert np.allclose(found, np.column_stack([false, true]), atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_precision_recall_curve_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, truth = arrays(pairs)
    found = curves.precision_recall_curve(scores, truth)
    if not truth.any():
        assert found == []
        return
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    theirs = np.column_stack([recall, precision])[::-1][1:]
    assert np.allclose(found, theirs, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_accuracy_coverage_counts_rows_by_hand(pairs: list[tuple[float, bool]]) -> None:
    confidence, correct = arrays(pairs)
    expected = []
    for cut in sorted(set(confidence.tolist()), reverse=True):
        chosen = confidence >= cut
        expected.append((chosen.mean(), correct[chosen].mean()))
    assert np.allclose(curves.accuracy_coverage(confidence.astype(float), correct), expected, atol=1e-6)
    coverage, needed = curves.coverage_at(confidence.astype(float), correct, 0.9)
    reachable = [share for share, accuracy in expected if accuracy >= 0.9]
    assert coverage == pytest.approx(max(reachable, default=0.0))
    assert (needed is None) == (not reachable)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_wilson_interval_is_that_of_scipy(hits: int, misses: int) -> None:
    assume(hits + misses)
    theirs = binomtest(hits, hits + misses).proportion_ci(0.95, method="wilson")
    assert np.allclose(curves.wilson(hits, hits + misses), (theirs.low, theirs.high), atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_divergences_are_those_of_scipy(counts: list[tuple[int, int]]) -> None:
    left, right = (np.array(side, dtype=float) for side in zip(*counts, strict=True))
    assume(left.sum() and right.sum())
    assert jensen_shannon(left, right) == pytest.approx(jensenshannon(left, right, base=2) ** 2, abs=1e-9)
    distance = total_variation(left, right)
    assert distance == pytest.approx(np.maximum(left / left.sum() - right / right.sum(), 0).sum())


def test_label_shift_is_shown_where_there_is_one_and_only_there() -> None:
    rng = np.random.default_rng(0)
    p_value, _ = label_shift(np.array([[900, 100], [40, 60]]), rng)
    assert p_value == pytest.approx(1 / 1000)
    same = [label_shift(np.stack([rng.multinomial(300, [0.7, 0.2, 0.1]) for _ in range(2)]), rng)[0] for _ in range(60)]
    assert np.mean(np.array(same) < 0.05) < 0.15, "p-values of equal splits are not spread evenly"


@st.composite
def logits(draw: st.DrawFn) -> tuple[np.ndarray, Task, float]:
    n, labels = draw(st.integers(1, 6)), draw(st.integers(2, 4))
    values = st.floats(-6, 6, width=32)
    rows = draw(st.lists(st.lists(values, min_size=labels, max_size=labels), min_size=n, max_size=n))
    return np.array(rows, dtype=np.float32), draw(st.sampled_from(list(Task))), draw(st.floats(0.5, 3))


@settings(max_examples=200, deadline=None)
@given(logits())
def test_uncalibrated_probabilities_are_those_at_temperature_one(case: tuple[np.ndarray, Task, float]) -> None:
    scores, task, temperature = case
    calibration = Temperature(temperature=temperature)
    calibrated = probabilities(scores, task, calibration)
    undone = curves.uncalibrated(calibrated, task, calibration)
    assert np.allclose(undone, probabilities(scores, task, Uncalibrated()), atol=2e-4)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.integers(2, 5), st.randoms(use_true_random=False))
def test_confusion_is_that_of_scikit_learn_with_no_label_as_the_last_class(n: int, labels: int, random: object) -> None:
    draw = [[random.randrange(labels + 1) for _ in range(n)] for _ in range(2)]  # type: ignore[attr-defined]
    rows = np.eye(labels + 1, dtype=np.bool_)[:, :labels]  # the last row is no label
    outcome = Outcome(rows[draw[0]], rows[draw[1]], rows[draw[1]].astype(np.float32), Task.MULTICLASS)
    assert (curves.confusion(outcome) == sk.confusion_matrix(*draw, labels=range(labels + 1))).all()


def test_a_rejected_row_is_as_sure_as_its_best_label_is_unlikely() -> None:
    proba = np.array([[0.9, 0.1], [0.3, 0.2]], dtype=np.float32)
    outcome = Outcome(proba > 2, np.array([[True, False], [False, False]]), proba, Task.MULTICLASS)
    assert curves.row_confidence(outcome) == pytest.approx([0.9, 0.7])


def test_confusions_of_label_sets() -> None:
    gold = [frozenset("ab"), frozenset("a"), frozenset(), frozenset("ab")]
    decided = [frozenset("a"), frozenset("a"), frozenset("b"), frozenset("a")]
    assert curves.set_confusions(gold, decided) == {("a+b", "a"): 2, ("none", "b"): 1}


def test_threshold_curve_and_reliability_by_hand() -> None:
    gold = np.array([[True, False], [False, True]])
    proba = np.array([[0.9, 0.6], [0.2, 0.4]], dtype=np.float32)
    outcome = Outcome(gold, proba >= 0.5, proba, Task.MULTILABEL)
    at = {t: rest for t, *rest in curves.threshold_curve(outcome)}
    assert at[0.5] == [0.5, 0.5, 0.0] and at[0.3] == [pytest.approx(2 / 3), 1.0, 0.5]
    bins = curves.reliability(outcome, proba)
    assert sum(count for *_, count in bins) == 4
    assert curves.row_confidence(outcome) == pytest.approx([0.54, 0.48])


def test_ngrams_zipf_and_spread_by_hand() -> None:
    rows = [["show", "me", "the", "fares"], ["fares"]]
    assert list(ngrams(rows, 2, frozenset())) == ["show me", "me the", "the fares"]
    assert list(ngrams(rows, 2, frozenset({"me", "the"}))) == ["show fares"]
    assert list(ngrams(rows, 3, frozenset({"me", "the"}))) == []
    perfect = np.array([round(100_000 / rank) for rank in range(1, 200)])
    assert zipf_slope(perfect) == pytest.approx(-1, abs=0.01)
    assert zipf_slope(np.array([1, 1, 1])) is None
    found = spread([1, 2, 3, 10])
    assert (found.smallest, found.median, found.mean, found.largest) == (1, 2.5, 4, 10)
    assert math.isclose(spread([7]).p99, 7)
