"""The linear reference model: what it must not see, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purport.evaluation import quick


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from(["x", "y", "z"])), min_size=2, max_size=60))
def test_equal_texts_share_a_fold_and_folds_are_even(rows: list[tuple[str, str]]) -> None:
    keys, labels = [key for key, _ in rows], [(label,) for _, label in rows]
    found = quick.folds(keys, labels, 3, 0)
    assert {len({int(found[i]) for i, other in enumerate(keys) if other == key}) for key in keys} == {1}
    sizes = [len({keys[i] for i in np.flatnonzero(found == fold)}) for fold in range(3)]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("labels", [2, 130])
def test_every_column_keeps_its_label(labels: int) -> None:
    """From 128 labels on, a narrow integer would shuffle the columns."""
    texts = [f"word{n} word{n} filler{k}" for n in range(labels) for k in range(6)]
    gold = np.repeat(np.eye(labels, dtype=np.bool_), 6, axis=0)
    fold_of = quick.folds(texts, [(str(n),) for n in range(labels) for _ in range(6)], 3, 0)
    for exclusive in (True, False):
        found = quick.cross_validate(quick.features(texts), gold, fold_of, exclusive=exclusive, seed=0)
        assert found.probabilities.argmax(axis=1).tolist() == gold.argmax(axis=1).tolist()
        if exclusive:
            assert found.exact(gold).all() and np.allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_row_is_judged_by_a_model_that_did_not_see_it() -> None:
    """A label given to one row only cannot be known for that row."""
    texts = [f"unique{n} common" for n in range(20)]
    gold = np.zeros((20, 2), dtype=np.bool_)
    gold[:, 0], gold[7] = True, [False, True]
    fold_of = quick.folds(texts, [("a",)] * 20, 5, 0)
    found = quick.cross_validate(quick.features(texts), gold, fold_of, exclusive=True, seed=0)
    assert found.probabilities[7, 1] < 0.5
    only = quick.cross_validate(quick.features(texts), gold, fold_of, exclusive=True, seed=0, only=np.array([1]))
    assert not only.probabilities[fold_of != 1].any() and only.probabilities[fold_of == 1].any()
    masked = quick.cross_validate(
        quick.features(texts), gold, fold_of, exclusive=False, seed=0, train_mask=np.zeros(20, dtype=np.bool_)
    )
    assert not masked.probabilities.any()
