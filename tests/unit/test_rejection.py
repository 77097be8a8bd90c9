"""The confidence below which a multiclass answer is rejected, fitted on validation rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purport.manifest import Likeliest
from purport.runtime.decision import decide
from purport.training.fitting import fit_rejection


def outcome(confidences: list[float], right: list[bool | None]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three labels whose likeliest is the first; ``None`` stands for a row without a label."""
    best = np.array(confidences, dtype=np.float32)
    probabilities = np.stack([best, (1 - best) * 0.6, (1 - best) * 0.4], axis=1).astype(np.float32)
    gold = np.array([[each is True, each is False, False] for each in right])
    return probabilities, gold


def fitted(probabilities: np.ndarray, gold: np.ndarray, *, keep: float) -> float:
    """The cut for the likeliest labels' probabilities."""
    right = gold[np.arange(len(gold)), probabilities.argmax(axis=1)]
    return fit_rejection(probabilities.max(axis=1), right, ~gold.any(axis=1), keep=keep)


def right_rows(probabilities: np.ndarray, gold: np.ndarray, below: float) -> int:
    return int((decide(probabilities, Likeliest(reject_below=below)).labels == gold).all(axis=1).sum())


def test_it_stands_between_what_is_in_scope_and_what_is_not() -> None:
    probabilities, gold = outcome([0.99, 0.9, 0.8, 0.6, 0.55, 0.5], [True, True, True, None, None, None])
    assert fitted(probabilities, gold, keep=0.99) == pytest.approx(0.7)


@given(
    st.lists(st.tuples(st.floats(0.4, 1.0), st.sampled_from([True, False, None])), min_size=1, max_size=40).filter(
        lambda rows: any(right is None for _, right in rows) and any(right is True for _, right in rows)
    )
)
def test_no_other_cut_gets_more_rows_right(drawn: list[tuple[float, bool | None]]) -> None:
    probabilities, gold = outcome([each for each, _ in drawn], [right for _, right in drawn])
    best = right_rows(probabilities, gold, fitted(probabilities, gold, keep=0.99))
    others = [right_rows(probabilities, gold, float(cut)) for cut in [0.0, *probabilities.max(axis=1)]]
    assert best == max(others)


def test_without_rows_out_of_scope_the_right_answers_stay() -> None:
    probabilities, gold = outcome(list(np.linspace(0.45, 0.499, 200)), [True] * 200)
    assert right_rows(probabilities, gold, fitted(probabilities, gold, keep=0.99)) == 198
    assert right_rows(probabilities, gold, fitted(probabilities, gold, keep=1.0)) == 200


def test_without_them_an_answer_that_is_more_likely_right_is_given() -> None:
    probabilities, gold = outcome([0.51, *[0.9999] * 50], [True] * 51)
    assert fitted(probabilities, gold, keep=0.5) <= 0.5


def test_a_model_that_is_never_right_is_not_made_silent_by_it() -> None:
    probabilities, gold = outcome([0.9, 0.8], [False, None])
    assert fitted(probabilities, gold, keep=0.99) == 0.0
