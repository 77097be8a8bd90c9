"""Calibration, decision, features and batching, each against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from purport import Classifier, Task
from purport.bundle import Bundle
from purport.errors import DeviceUnavailable
from purport.kinds.linear.ngrams import Ngrams
from purport.manifest import Likeliest, PerLabel, Temperature
from purport.runtime.calibration import probabilities
from purport.runtime.decision import decide
from purport.runtime.onnx import batches
from purport.training.fitting import fit_temperature, fit_thresholds


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_data_is_found(task: Task, temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3.0, size=(20_000, 4)).astype(np.float32)
    truth = probabilities(logits, task, Temperature(temperature=temperature))
    if task is Task.MULTILABEL:
        gold = rng.random(truth.shape) < truth
    else:
        gold = np.array([rng.multinomial(1, row / row.sum()) for row in truth.astype(np.float64)]).astype(bool)
    assert fit_temperature(logits, gold, task).temperature == pytest.approx(temperature, rel=0.05)


@given(st.lists(st.floats(-500, 500, width=32), min_size=3, max_size=3), st.sampled_from(list(Task)))
def test_probabilities_are_probabilities(row: list[float], task: Task) -> None:
    proba = probabilities(np.array([row], dtype=np.float32), task, Temperature(temperature=0.3))
    assert proba.dtype == np.float32 and ((proba >= 0) & (proba <= 1)).all()
    if task is Task.MULTICLASS:
        assert proba.sum() == pytest.approx(1, abs=1e-5)


def test_a_threshold_moves_only_for_a_clear_gain() -> None:
    proba = np.array([[0.1], [0.2], [0.3], [0.3], [0.35], [0.9]], dtype=np.float32)
    gold = np.array([[0], [0], [1], [1], [1], [1]], dtype=bool)
    (moved,) = fit_thresholds(proba, gold, min_gain=3)
    assert moved == pytest.approx(0.25) and (decide(proba, PerLabel(thresholds=(moved,))).labels == gold).all()
    assert fit_thresholds(proba, gold, min_gain=4) == (0.5,)
    assert fit_thresholds(np.full((5, 1), 0.4, np.float32), np.ones((5, 1), bool), min_gain=1) == (0.5,)


@example([(0.0, False), (2.759909439533344e-20, True)], 1)
@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=30), st.integers(1, 3))
def test_a_fitted_threshold_never_makes_more_errors(pairs: list[tuple[float, bool]], min_gain: int) -> None:
    proba = np.array([[p] for p, _ in pairs], dtype=np.float32)
    gold = np.array([[g] for _, g in pairs])
    fitted = fit_thresholds(proba, gold, min_gain=min_gain)
    errors = [(decide(proba, PerLabel(thresholds=thresholds)).labels != gold).sum() for thresholds in (fitted, (0.5,))]
    assert errors[0] == errors[1] if fitted == (0.5,) else errors[0] <= errors[1] - min_gain


def test_multiclass_rejects_what_is_too_improbable() -> None:
    proba = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05]], dtype=np.float32)
    decided = decide(proba, Likeliest(reject_below=0.6))
    assert decided.labels.tolist() == [[False] * 3, [True, False, False]]
    assert decided.out_of_scope.tolist() == [True, False]


def test_the_features_are_those_of_scikit_learn() -> None:
    """What is trained with scikit-learn's TF-IDF is answered with our own: the same numbers."""
    from purport.kinds.linear.model import LinearScorer

    texts = ["The cat, the CAT!", "a dog isn't a cat", "größe 42"]
    ngrams = Ngrams(words=(1, 2), characters=(2, 3))
    theirs = TfidfVectorizer(analyzer=ngrams, sublinear_tf=True)
    features = theirs.fit_transform(texts).toarray()
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(features.shape[1], 3)).astype(np.float32)
    bias = np.array([1, 2, 3], dtype=np.float32)
    ours = LinearScorer(ngrams, theirs.vocabulary_, theirs.idf_.astype(np.float32), weights, bias)
    np.testing.assert_allclose(ours.score(texts).logits, features @ weights + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(ours.score(["§§§ qqq"]).logits, [bias])


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(60, 300))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = list(batches(lengths, budget))
    assert sorted(int(row) for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) * max(lengths[row] for row in group) <= budget or len(group) == 1


@pytest.mark.parametrize("name", ["linear_bundle", "encoder_bundle"])
def test_an_answer_does_not_depend_on_batch_mates(request: pytest.FixtureRequest, name: str, sample: object) -> None:
    classifier = Classifier.open(request.getfixturevalue(name))
    texts = list(sample["test"].texts)  # type: ignore[index]
    together = classifier.predict_proba(texts)
    assert together.shape == (len(texts), len(classifier.labels)) and together.dtype == np.float32
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    backwards = classifier.predict_proba(texts[::-1])[::-1]
    np.testing.assert_allclose(together, backwards, atol=1e-5)


@pytest.mark.parametrize("name", ["linear_bundle", "encoder_bundle"])
def test_predictions_are_ranked_and_complete(request: pytest.FixtureRequest, name: str) -> None:
    classifier = Classifier.open(request.getfixturevalue(name))
    assert classifier.predict([]) == []
    (prediction,) = classifier.predict(["where is my order and where is my refund"])
    confidences = [scored.confidence for scored in prediction.ranked]
    assert confidences == sorted(confidences, reverse=True) and len(confidences) == len(classifier.labels)
    assert prediction.top(2) == prediction.ranked[:2]
    everything = classifier.predict(["x"], threshold=0.0)[0]
    assert set(everything.labels) == set(classifier.labels) and not everything.out_of_scope
    nothing = classifier.predict(["x"], threshold=1.0)[0]
    assert nothing.labels == () and nothing.out_of_scope
    with pytest.raises(TypeError, match="list of strings"):
        classifier.predict("one string")


def test_a_long_text_is_truncated_and_says_so(encoder_bundle: Bundle) -> None:
    classifier = Classifier.open(encoder_bundle)
    short, long = classifier.predict(["where is my order", "where is my order " * 100])
    assert (short.truncated, long.truncated) == (False, True)


@pytest.mark.parametrize("name", ["linear_bundle", "encoder_bundle"])
def test_a_device_that_is_not_here_says_so(request: pytest.FixtureRequest, name: str) -> None:
    with pytest.raises(DeviceUnavailable, match="tpu"):
        Classifier.open(request.getfixturevalue(name), device="tpu")


@pytest.mark.parametrize("name", ["linear_bundle", "encoder_bundle"])
@given(st.text(max_size=200))
def test_any_text_has_an_answer(request: pytest.FixtureRequest, name: str, text: str) -> None:
    classifier = _opened(request.getfixturevalue(name))
    assert np.isfinite(classifier.predict_proba([text])).all()


_OPEN: dict[str, Classifier] = {}


def _opened(bundle: Bundle) -> Classifier:
    return _OPEN.setdefault(bundle.manifest.id, Classifier.open(bundle))
