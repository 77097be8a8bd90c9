"""Comparisons and gates: every number against one counted another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from purport import Bundle, Classifier, Dataset
from purport.data.spec import DataSpec
from purport.errors import GateInvalid
from purport.evaluation.compare import compare, outcome_of, paired, set_metrics
from purport.evaluation.comparison import judge
from purport.evaluation.evaluate import Estimate
from purport.evaluation.gates import check_gates
from purport.labels import LabelSet

SETS = st.lists(st.frozensets(st.sampled_from("abc")), min_size=1, max_size=12)
NAMES = LabelSet("abc")


@settings(max_examples=200, deadline=None)
@given(SETS, st.data())
def test_shared_metrics_are_those_of_scikit_learn(gold: list[frozenset[str]], data: st.DataObject) -> None:
    decided = data.draw(st.lists(st.frozensets(st.sampled_from("abc")), min_size=len(gold), max_size=len(gold)))
    outcome = outcome_of(gold, decided, NAMES)
    ours = {name: value[0] for name, value in set_metrics(outcome, np.ones((1, len(gold)))).items()}
    assert ours["exact_match"] == pytest.approx(sk.accuracy_score(outcome.gold, outcome.decided))
    if any(gold) and any(decided):
        theirs = sk.f1_score(outcome.gold, outcome.decided, average="micro", zero_division=0)
        assert ours["f1_micro"] == pytest.approx(theirs)
        theirs = sk.precision_score(outcome.gold, outcome.decided, average="micro", zero_division=0)
        assert ours["precision_micro"] == pytest.approx(theirs)
    if any(gold):
        theirs = sk.recall_score(outcome.gold, outcome.decided, average="micro", zero_division=0)
        assert ours["recall_micro"] == pytest.approx(theirs)


@settings(max_examples=50, deadline=None)
@given(SETS, st.data())
def test_a_model_does_not_differ_from_itself(gold: list[frozenset[str]], data: st.DataObject) -> None:
    decided = data.draw(st.lists(st.frozensets(st.sampled_from("abc")), min_size=len(gold), max_size=len(gold)))
    outcome = outcome_of(gold, decided, NAMES)
    metrics, labels = paired(outcome, outcome, NAMES, 20, 0)
    for change in metrics.values():
        assert change.difference.value in (0.0, None) and change.difference.high in (0.0, None)
    assert all(not change.fixed and not change.broken for change in labels.values())


def test_the_paired_interval_is_narrower_than_two_apart() -> None:
    rng = np.random.default_rng(0)
    gold = [frozenset("a") for _ in range(400)]
    a = [frozenset("a") if draw < 0.7 else frozenset("b") for draw in rng.random(400)]
    b = [frozenset("a") if row < 8 else sets for row, sets in enumerate(a)]
    fixed = sum(sets != frozenset("a") for sets in a[:8])
    metrics, labels = paired(outcome_of(gold, a, NAMES), outcome_of(gold, b, NAMES), NAMES, 2000, 0)
    exact = metrics["exact_match"].difference
    assert exact.value == pytest.approx(fixed / 400)
    assert exact.low is not None and exact.high is not None and exact.low >= 0
    # Of m changed rows out of n: sd = sqrt(m) / n; apart it would be sqrt(2 * .7 * .3 / n).
    assert (exact.high - exact.low) / 3.92 == pytest.approx(np.sqrt(fixed) / 400, rel=0.25)
    assert labels["a"].fixed == fixed and labels["a"].broken == 0


def test_a_verdict_needs_both_tests() -> None:
    up, unsure = Estimate(value=0.02, low=0.01, high=0.03), Estimate(value=0.02, low=-0.01, high=0.05)
    assert judge(up, 2, 20, 0.001)[0] == "better"
    assert judge(up, 2, 6, 0.3)[0] == "no difference shown"
    assert judge(unsure, 2, 20, 0.001)[0] == "no difference shown"
    assert judge(Estimate(value=-0.02, low=-0.03, high=-0.01), 20, 2, 0.001)[0] == "worse"


def test_compare_bundles_row_by_row(linear_bundle: Bundle, encoder_bundle: Bundle, sample: Dataset) -> None:
    linear, encoder = Classifier.open(linear_bundle), Classifier.open(encoder_bundle)
    found = compare(linear, encoder, sample["test"], resamples=200, gate="flips<=1,f1_micro>=-1,f1[track_order]<=1")
    ours = [frozenset(p.labels) for p in linear.predict(list(sample["test"].texts))]
    theirs = [frozenset(p.labels) for p in encoder.predict(list(sample["test"].texts))]
    gold = [frozenset(labels) for labels in sample["test"].gold]
    assert found.flips == sum(a != b for a, b in zip(ours, theirs, strict=True))
    assert found.only_a_right == sum(a == g != b for a, b, g in zip(ours, theirs, gold, strict=True))
    assert found.only_b_right == sum(b == g != a for a, b, g in zip(ours, theirs, gold, strict=True))
    counted = {way: sum(row.direction == way for row in found.rows) for way in ("fixed", "broken")}
    assert counted == {"fixed": found.only_b_right, "broken": found.only_a_right}
    assert found.passed and len(found.gates) == 3
    assert all(not row.text for row in found.without_texts().rows)


@pytest.mark.parametrize("delimiter", ["+", ";"])
def test_joint_classes_count_as_their_labels(delimiter: str) -> None:
    both = frozenset([f"airfare{delimiter}flight"])
    assert DataSpec(name="x", joint=True, label_delimiter=delimiter).parts(both) == {"airfare", "flight"}
    assert DataSpec(name="x", label_delimiter=delimiter).parts(both) == both


def test_gates() -> None:
    measured = {"f1_micro": -0.001, "flips": 0.02, "f1[a,b]": None}
    gates = check_gates(" f1_micro >= -0.002 ,flips<=0.01, f1[a,b]>0", measured)
    assert [gate.holds for gate in gates] == [True, False, False]
    edge = check_gates("flips<=0.02,flips>=0.02,flips<0.02,flips>0.02", measured)
    assert [gate.holds for gate in edge] == [True, True, False, False]
    for wrong, said in (("f1_micro", "cannot parse"), ("f1_mico>0", 'Did you mean "f1_micro"'), ("flips<1,", "empty"),
                        ("flips<1.2.3", "cannot parse")):  # fmt: skip
        with pytest.raises(GateInvalid, match=said):
            check_gates(wrong, measured)
