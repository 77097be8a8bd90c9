"""Near a taught example it decides; farther away every answer stays the same to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purport import Task
from purport.errors import BundleCorrupt
from purport.model import FloatArray
from purport.runtime.taught_vectors import VECTORS_FILE, TaughtVectors, fitting_reach
from purport.taught import Batch, Taught, TaughtExample

TOWARDS = np.array([1, 0], dtype=np.float32)


def at(*cosines: float) -> FloatArray:
    """Vectors that have these cosines with :data:`TOWARDS`."""
    return np.array([[cosine, np.sqrt(1 - cosine**2)] for cosine in cosines], dtype=np.float32)


def taught(*gold: list[bool], reach: float = 0.8) -> TaughtVectors:
    """Examples with the vector :data:`TOWARDS`."""
    n = len(gold)
    vectors = np.tile(TOWARDS, (n, 1))
    texts = tuple(f"text {number}" for number in range(n))
    return TaughtVectors(vectors, np.array(gold), np.full(n, reach, dtype=np.float32), texts)


@given(nearest=st.floats(-1, 0.99), wide=st.booleans())
def test_the_nearest_example_with_other_labels_is_never_reached(nearest: float, wide: bool) -> None:
    reach = fitting_reach(np.array([nearest], dtype=np.float32), np.array([wide]))
    found = TaughtVectors(TOWARDS[None], np.array([[True]]), reach, ("a text",))
    weight, _ = found.weights(at(nearest, 1.0))
    assert weight[0] == 0 and weight[1] == 1
    assert reach[0] >= (0.6 if wide else 0.75), "however far the others are"


@given(cosines=st.lists(st.floats(-1, 1), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_answers_stay_probabilities(cosines: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([0.3] * 3, len(cosines)).astype(np.float32)
    inside = rng.uniform(0, 1, len(cosines)).astype(np.float32)
    found = taught([False, True, False, False], [False, False, False, True])
    after, scope, weight = found.corrected(proba, inside, at(*cosines), Task.MULTICLASS)
    assert after.dtype == scope.dtype == np.float32 and after.shape == (len(cosines), 4)
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-5)
    assert ((after >= 0) & (after <= 1)).all() and ((scope >= 0) & (scope <= 1)).all()
    far = np.array(cosines) < 0.78
    np.testing.assert_array_equal(after[far, :3], proba[far])
    np.testing.assert_array_equal(scope[far], inside[far])
    assert (weight[far] == 0).all()


def test_an_example_gets_its_labels_and_no_others() -> None:
    proba = np.array([[0.9, 0.8, 0.1]], dtype=np.float32)
    inside = np.array([0.01], dtype=np.float32)
    after, scope, weight = taught([True, False, True]).corrected(proba, inside, at(1), Task.MULTILABEL)
    assert (after[0] > 0.5).tolist() == [True, False, True]
    assert scope[0] == weight[0] == 1


def test_out_of_scope_takes_the_labels_but_not_the_ranking_of_a_multiclass_model() -> None:
    proba = np.array([[0.7, 0.3]], dtype=np.float32)
    inside = np.array([0.9], dtype=np.float32)
    after, scope, weight = taught([False, False]).corrected(proba, inside, at(1), Task.MULTICLASS)
    np.testing.assert_array_equal(after, proba)
    assert scope[0] == 0 and weight[0] == -1
    assert taught([False, False]).corrected(proba, inside, at(1), Task.MULTILABEL)[0].max() < 0.01


def test_the_latest_of_equal_texts_and_the_nearest_of_others_counts() -> None:
    again = replace(taught([True, False], [False, True]), texts=("a text", "A text!"))
    assert again.weights(at(1))[1].tolist() == [1] and again.active.tolist() == [False, True]
    two = TaughtVectors(at(1, 0.95), np.eye(2, dtype=np.bool_), np.float32([0.8, 0.8]), ("a", "b"))
    assert two.weights(at(1, 0.95, 0.9999))[1].tolist() == [0, 1, 0]


def test_what_is_taken_back_leaves_the_same_arrays() -> None:
    first = taught([True, False])
    wider = first.first_labels(3).followed_by(taught([False, False, True]))
    back = wider.first(1, 2)
    for name in ("vectors", "gold", "reach"):
        np.testing.assert_array_equal(getattr(back, name), getattr(first, name))
    assert back.texts == first.texts


@pytest.mark.parametrize("broken", ["labels", "length", "value", "texts", "noise"])
def test_a_damaged_file_is_found_when_it_is_opened(tmp_path: Path, broken: str) -> None:
    found = taught([True, False])
    found.save(tmp_path)
    Taught(batches=(Batch(parent="x", examples=(TaughtExample(text="a text"),)),)).save(tmp_path)
    whole = TaughtVectors.load(tmp_path, 2)
    assert whole is not None and whole.texts == ("a text",) and whole.active.all()
    arrays = {"vectors": found.vectors, "gold": found.gold, "reach": found.reach}
    if broken == "length":
        arrays["reach"] = np.ones(2, dtype=np.float32) * np.float32(0.8)
    if broken == "value":
        arrays["reach"] = np.array([np.nan], dtype=np.float32)
    if broken == "texts":
        (tmp_path / "taught.json").write_text('{"batches": []}')
    np.savez(tmp_path / VECTORS_FILE, **arrays)  # type: ignore[arg-type]
    if broken == "noise":
        (tmp_path / VECTORS_FILE).write_bytes(b"\x00" * 64)
    with pytest.raises(BundleCorrupt, match=VECTORS_FILE):
        TaughtVectors.load(tmp_path, 3 if broken == "labels" else 2)
