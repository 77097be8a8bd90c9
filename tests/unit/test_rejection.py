"""What is decided where no label reaches its threshold, and the score below which an answer is rejected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purport.kinds.recipe import Decide
from purport.labels import Task
from purport.manifest import Likeliest, PerLabel
from purport.model import Answers
from purport.runtime.decision import decide
from purport.training.deciding import fit_decision
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


def lonely(rows: int) -> tuple[Answers, np.ndarray]:
    """``rows`` of two labels in turn that have 0.28, and eight more rows that thresholds of 0.5 get right."""
    shy, sure = np.array([[0.28, 0.1], [0.1, 0.28]]), np.array([[0.9, 0.1], [0.1, 0.9]])
    probabilities = np.concatenate([np.tile(shy, (rows, 1))[:rows], np.tile(sure, (4, 1))]).astype(np.float32)
    gold = probabilities == probabilities.max(axis=1, keepdims=True)
    return Answers(probabilities, np.ones(len(gold), dtype=np.float32), np.zeros(len(gold), dtype=np.bool_)), gold


@pytest.mark.parametrize(("rows", "at"), [(2, 1.0), (3, 0.25)])
def test_the_likeliest_label_is_decided_alone_where_that_gets_enough_rows_right(rows: int, at: float) -> None:
    answers, gold = lonely(rows)
    decision = fit_decision(Decide(), Task.MULTILABEL, answers, gold, scoped=False)
    assert isinstance(decision, PerLabel) and decision.likeliest_at == at
    assert set(decision.thresholds) == {0.5}
    right = (decide(answers.probabilities, decision).labels == gold).all(axis=1)
    assert right.all() == (at < 1)


def test_it_is_not_decided_where_rows_have_no_label_or_the_threshold_is_set() -> None:
    answers, gold = lonely(3)
    decision = fit_decision(Decide(thresholds="fixed"), Task.MULTILABEL, answers, gold, scoped=False)
    assert isinstance(decision, PerLabel) and decision.likeliest_at == 1
    gold[:3] = False
    decision = fit_decision(Decide(), Task.MULTILABEL, answers, gold, scoped=False)
    assert isinstance(decision, PerLabel) and decision.likeliest_at == 1


def test_in_scope_decides_whether_and_the_labels_which() -> None:
    """Half of the lonely rows have no label; ``in_scope`` tells them apart, so that the other half is answered."""
    answers, gold = lonely(8)
    gold[:4] = False
    within = np.where(gold.any(axis=1), 0.9, 0.2).astype(np.float32)
    answers = replace(answers, in_scope=within)
    decision = fit_decision(Decide(), Task.MULTILABEL, answers, gold, scoped=True)
    assert isinstance(decision, PerLabel) and decision.likeliest_at == 0.25 and 0.2 < decision.in_scope_at <= 0.9
    assert (decide(answers.probabilities, decision, within).labels == gold).all()
    assert decide(answers.probabilities, decision.at(0.5), within).labels[4:8].sum() == 0, "a threshold is a threshold"


def test_of_equally_likely_labels_rounding_does_not_choose() -> None:
    decision = PerLabel(thresholds=(0.5,) * 3, likeliest_at=0.2)
    for less in (0, 6e-8, -6e-8):
        decided = decide(np.array([[0.1, 0.3, 0.3 + less]], dtype=np.float32), decision).labels
        assert decided.tolist() == [[False, True, False]]


def test_the_lowest_score_of_all_is_kept_whatever_rounding_does() -> None:
    score = np.array([0.7, 0.8, 0.9], dtype=np.float32)
    cut = fit_rejection(score, np.ones(3, dtype=np.bool_), np.zeros(3, dtype=np.bool_), keep=1.0)
    assert 0.49 < cut < 0.5, "an answer that is more likely right than wrong is given"
    cut = fit_rejection(score - np.float32(0.5), np.ones(3, dtype=np.bool_), np.zeros(3, dtype=np.bool_), keep=1.0)
    assert 0.1999 < cut < 0.2 - 1e-6
