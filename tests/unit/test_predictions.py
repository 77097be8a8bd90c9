"""Arrays as predictions: which labels, in which order, each row with options of its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purport import Classifier
from purport.model import Answers, FloatArray
from purport.prediction import Prediction, ScoredLabel


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.open("atis")


def answers(probabilities: FloatArray) -> Answers:
    return Answers(probabilities, probabilities.max(axis=1), np.zeros(len(probabilities), np.bool_))


def naive(classifier: Classifier, row: FloatArray, threshold: float | None, top_k: int | None) -> Prediction:
    """The definition, label by label."""
    names, fitted = classifier.labels.names, classifier.bundle.manifest.decision.thresholds  # type: ignore[union-attr]
    order = sorted(range(len(names)), key=lambda label: (-row[label], label))
    limits = np.asarray(fitted if threshold is None else [threshold] * len(names), np.float32)
    decided = tuple(names[label] for label in order if row[label] >= limits[label])
    ranked = tuple(ScoredLabel(names[label], float(row[label])) for label in order[:top_k])
    why = None if decided else "no_label_decided"
    return Prediction(decided, ranked, not decided, False, classifier.bundle.manifest.id, float(row.max()), why)


@given(
    seed=st.integers(0, 2**32 - 1),
    options=st.lists(st.tuples(st.sampled_from([None, 0.0, 0.3, 1.0]), st.sampled_from([None, 0, 1, 3, 1000]))),
)
def test_each_row_is_what_its_own_options_make_of_it(
    classifier: Classifier, seed: int, options: list[tuple[float | None, int | None]]
) -> None:
    shape = len(options), len(classifier.labels)
    # Few different values: many labels are equally likely, and then stand in the order of the bundle.
    probabilities = np.random.default_rng(seed).choice(np.float32([0, 0.1, 0.3, 0.5, 0.9, 1]), shape)
    found = classifier.predictions(answers(probabilities), [each for each, _ in options], [each for _, each in options])
    assert found == [naive(classifier, row, *each) for row, each in zip(probabilities, options, strict=True)]
