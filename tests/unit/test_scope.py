"""in_scope: more evidence for a label, a higher probability that some label applies; rows out of scope sharpen it."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from purport.kinds.recipe import Decide
from purport.labels import Task
from purport.manifest import Likeliest, PerLabel, Scope
from purport.model import Answers
from purport.runtime.decision import decide
from purport.runtime.memory import Memory
from purport.runtime.scope import SIGNALS, evidence, in_scope, signals, weakest
from purport.training.deciding import fit_decision
from purport.training.scoping import fit_scope


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rows(rng: np.random.Generator, n: int, mean: tuple[float, ...]) -> np.ndarray:
    return rng.normal(mean, (1.5, 0.08, 0.08, 0.1), size=(n, len(SIGNALS)))


INSIDE, OUTSIDE = (5.0, 0.9, 0.9, 0.9), (1.0, 0.6, 0.6, 0.6)


def test_more_evidence_is_more_in_scope(rng: np.random.Generator) -> None:
    scope = fit_scope(rows(rng, 200, INSIDE), np.ones((200, 1), dtype=bool))
    middle = np.array([INSIDE])
    for signal, step in enumerate((1.0, 0.05, 0.05, 0.05)):
        more, less = middle.copy(), middle.copy()
        more[0, signal], less[0, signal] = middle[0, signal] + step, middle[0, signal] - step
        assert (
            in_scope(evidence(less, scope), scope)
            < in_scope(evidence(middle, scope), scope)
            < in_scope(evidence(more, scope), scope)
        )


def test_strangers_score_lower_without_having_been_seen(rng: np.random.Generator) -> None:
    scope = fit_scope(rows(rng, 200, INSIDE), np.ones((200, 1), dtype=bool))
    assert in_scope(evidence(rows(rng, 200, INSIDE), scope), scope).mean() > 0.8
    assert in_scope(evidence(rows(rng, 200, OUTSIDE), scope), scope).mean() < 0.2


def test_rows_out_of_scope_adapt_the_weights(rng: np.random.Generator) -> None:
    # Here only the first signal tells anything, and the others mislead.
    inside, outside = rows(rng, 300, (5, 0.7, 0.7, 0.7)), rows(rng, 300, (1, 0.8, 0.8, 0.8))
    found, gold = np.concatenate([inside, outside]), np.array([[True]] * 300 + [[False]] * 300)
    before, after = fit_scope(inside, gold[:300]), fit_scope(found, gold)
    assert (before.fitted, after.fitted) == (0, 300)

    def right(scope: Scope) -> float:
        return float(((in_scope(evidence(found, scope), scope) >= 0.5) == gold[:, 0]).mean())

    assert right(after) > right(before) + 0.05


def test_a_handful_of_rows_moves_little(rng: np.random.Generator) -> None:
    inside, two = rows(rng, 300, INSIDE), rows(rng, 2, INSIDE)
    before = fit_scope(inside, np.ones((300, 1), dtype=bool))
    after = fit_scope(np.concatenate([inside, two]), np.array([[True]] * 300 + [[False]] * 2))
    assert np.allclose(before.weights, after.weights, atol=0.3) and abs(before.bias - after.bias) < 0.5


def test_few_validation_rows_are_not_trusted_alone() -> None:
    one = fit_scope(np.array([[11.0, 1.0, 1.0, 1.0]]), np.ones((1, 1), dtype=bool))
    assert one.centers[0] < 6 and one.scales[0] > 1


def test_the_reason_is_the_weakest_signal() -> None:
    scope = Scope(centers=(5, 0.9, 0.9, 0.9), scales=(1, 0.1, 0.1, 0.1), weights=(1, 1, 1, 1), bias=0)
    near = "unlike_any_example"
    for signal, reason in enumerate(("between_labels", near, near, "unfamiliar_words")):
        found = np.array([[5, 0.9, 0.9, 0.9]])
        found[0, signal] -= 3 * scope.scales[signal]
        assert weakest(evidence(found, scope)[0].astype(np.float32)) == reason


def test_similarity_and_centrality_speak_together() -> None:
    """Each less than sureness alone, but they say the same of a text."""
    assert weakest(np.array([-1.5, -1, -1, 0], dtype=np.float32)) == "unlike_any_example"


def test_rows_that_are_all_alike_do_not_reject_what_is_written_otherwise() -> None:
    """Rows made from templates: validation texts are all but copies of training texts."""
    alike = np.tile([11.0, 0.99, 0.99, 1.0], (100, 1))
    scope = fit_scope(alike, np.ones((100, 1), dtype=bool))
    assert in_scope(evidence(np.array([[7.0, 0.87, 0.87, 0.9]]), scope), scope)[0] > 0.3


@pytest.mark.parametrize("task", list(Task))
def test_signals_of_extreme_logits_are_finite(task: Task) -> None:
    memory = Memory.of(np.eye(3, dtype=np.float32), np.eye(3, dtype=bool), np.zeros(3, np.uint64))
    logits = np.array([[1e4, -1e4, 0], [0, 0, 0], [-1e4, -1e4, -1e4]], dtype=np.float32)
    found = signals(logits, np.eye(3, dtype=np.float32), None, task, memory)
    assert found.shape == (3, len(SIGNALS)) and np.isfinite(found).all()
    assert found[0, 0] > found[1, 0]


def test_a_text_out_of_scope_gets_no_label_whatever_its_probability() -> None:
    proba = np.array([[0.99, 0.01], [0.99, 0.01]], dtype=np.float32)
    scope = np.array([0.1, 0.9], dtype=np.float32)
    for decision in (Likeliest(in_scope_at=0.5), PerLabel(thresholds=(0.5, 0.5), in_scope_at=0.5)):
        assert decide(proba, decision, scope).labels.tolist() == [[False, False], [True, False]]
        assert decide(proba, decision.at(0.5), scope).labels[:, 0].all()


def test_the_cut_is_fitted_on_in_scope(rng: np.random.Generator) -> None:
    gold = np.array([[True, False]] * 100 + [[False, False]] * 100)
    proba = np.tile(np.array([0.9, 0.1], dtype=np.float32), (200, 1))
    scope = np.concatenate([rng.uniform(0.6, 1, 100), rng.uniform(0, 0.4, 100)]).astype(np.float32)
    answers = Answers(proba, scope, np.zeros(200, dtype=bool))
    for task in Task:
        decision = fit_decision(Decide(), task, answers, gold, scoped=True)
        assert 0.4 < decision.in_scope_at <= 0.61
        assert fit_decision(Decide(), task, answers, gold, scoped=False).in_scope_at == 0


def test_a_scope_has_as_many_weights_as_signals() -> None:
    with pytest.raises(ValidationError, match="as many"):
        Scope(centers=(0, 0), scales=(1,), weights=(1, 1), bias=0)
