"""Comparisons and gates: every number against one counted another way."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from purport import Bundle, Classifier, Dataset, Example, Task, load_dataset
from purport.data import shares
from purport.data.spec import DataSpec
from purport.errors import DataError, GateInvalid
from purport.evaluation.compare import compare, outcome_of, paired, set_metrics
from purport.evaluation.compare_page import page
from purport.evaluation.comparison import judge, labels_said
from purport.evaluation.gates import check_gates
from purport.evaluation.label_tests import holm, label_p_values
from purport.evaluation.metrics import Counts, per_label
from purport.evaluation.outcome import Outcome
from purport.evaluation.resampling import Estimate
from purport.labels import LabelSet
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

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


def test_one_test_decides_and_the_sentence_does_not_contradict_it() -> None:
    up, unsure = Estimate(value=0.02, low=0.01, high=0.03), Estimate(value=0.02, low=-0.01, high=0.05)
    down = Estimate(value=-0.02, low=-0.03, high=-0.01)
    for exact, only_a, only_b, p_value, expected in (
        (up, 2, 20, 0.001, "better"), (down, 20, 2, 0.001, "worse"), (unsure, 2, 6, 0.3, "no difference shown"),
        (up, 0, 5, 0.0625, "no difference shown"), (unsure, 2, 20, 0.04, "better"),
    ):  # fmt: skip
        verdict, reason = judge(exact, only_a, only_b, p_value, 1200)
        assert verdict == expected and "on 1,200 rows" in reason and "McNemar's exact test, which decides" in reason
        excludes = exact.low > 0 or exact.high < 0  # type: ignore[operator]
        assert ("too few to tell from chance" in reason) == (excludes and verdict == "no difference shown")
    verdict, reason = judge(Estimate(value=0.0, low=0.0, high=0.0), 0, 0, 1.0, 1)
    assert verdict == "no difference shown" and "on 1 row," in reason and "up to 95 points can go unseen" in reason
    assert "up to 1.5 points can go unseen" in judge(Estimate(value=0.0, low=0.0, high=0.0), 0, 0, 1.0, 200)[1]


def by_all_swaps(gold: list[bool], a: list[bool], b: list[bool]) -> float:
    """The share of all ways to swap the decisions of A and B after which F1 falls (or rises) at least as much."""

    def f1(decided: list[bool]) -> float:
        hits = sum(right and said for right, said in zip(gold, decided, strict=True))
        return 2 * hits / max(sum(gold) + sum(decided), 1)

    now, differences = f1(b) - f1(a), []
    for swap in itertools.product([False, True], repeat=len(gold)):
        pairs = [(y, x) if turned else (x, y) for x, y, turned in zip(a, b, swap, strict=True)]
        differences.append(f1([y for _, y in pairs]) - f1([x for x, _ in pairs]))
    fall, rise = (float(np.mean([sign * d <= sign * now + 1e-12 for d in differences])) for sign in (1, -1))
    return min(fall, rise)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=6, max_size=8))
def test_the_p_value_of_a_label_is_that_of_all_swaps(rows: list[tuple[bool, bool, bool]]) -> None:
    rows = [(True, True, False)] * 6 + rows[:3]  # enough changed rows for a value below 0.05
    gold, a, b = (list(part) for part in zip(*rows, strict=True))
    left, right = (
        Outcome(np.array(gold)[:, None], np.array(d)[:, None], np.zeros((len(d), 1), np.float32), Task.MULTILABEL)
        for d in (a, b)
    )
    assert label_p_values(left, right) == [pytest.approx(by_all_swaps(gold, a, b), abs=1e-9)]
    assert label_p_values(right, left) == pytest.approx(label_p_values(left, right), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_step_down_of_the_paper(values: list[float]) -> None:
    adjusted = holm(values)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
            if values[at] * (len(values) - rank) >= level:
                break
            rejected.add(at)
        assert {at for at, value in enumerate(adjusted) if value < level} == rejected


def changed(a: list[str], b: list[str], gold: list[str], names: LabelSet) -> list[tuple[float, float]]:
    """F1 difference and p-value of each label; every row has one label."""
    sets = [[frozenset([label]) for label in side] for side in (gold, a, b)]
    left, right = outcome_of(sets[0], sets[1], names), outcome_of(sets[0], sets[2], names)
    f1 = [per_label(Counts.of(side, np.ones((1, len(gold)))))["f1"][0] for side in (left, right)]
    return list(zip((f1[1] - f1[0]).tolist(), label_p_values(left, right), strict=True))


def test_labels_with_few_rows_do_not_fall_by_chance_and_a_collapse_is_seen() -> None:
    rng, false, runs = np.random.default_rng(0), 0, 40
    names = LabelSet([f"l{n:03}" for n in range(60)])
    gold = [name for at, name in enumerate(names) for _ in range(3 if at % 2 else 30)]

    def answers() -> list[str]:
        return [label if rng.random() < 0.8 else names.names[rng.integers(len(names))] for label in gold]

    for _ in range(runs):
        a, b = answers(), answers()
        found = changed(a, b, gold, names)
        assert min(difference for difference, _ in found) < -0.3, "by chance alone some label falls far"
        false += any(p < 0.05 for _, p in found)
    assert false / runs <= 0.2, "5 % for falls and 5 % for rises"
    a = answers()
    b = ["l002" if right == "l000" and rng.random() < 0.9 else said for right, said in zip(gold, a, strict=True)]
    found = changed(a, b, gold, names)
    difference, p_value = found[0]
    assert difference < -0.3 and p_value < 0.05
    assert sum(p < 0.05 for _, p in found) <= 2


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


def test_a_wrong_gate_names_the_nearest_few_and_where_the_list_is() -> None:
    names = [f"{name}{end}" for name in ("f1_micro", "f1_macro", *(f"f1[label {n}]" for n in range(50)))
             for end in ("", ".low", ".high")]  # fmt: skip
    for wrong in ("f1_mcro", "f1_mcro.low", "latency"):
        with pytest.raises(GateInvalid) as failed:
            check_gates(f"{wrong}>0", dict.fromkeys(names, 0.0))
        said = str(failed.value)
        assert said.endswith("`purport compare --help` describes all names.") and len(said) < 160
        assert ("f1_macro" in said) == (wrong != "latency") and (".low" in said.partition(wrong + '"')[2]) == (
            wrong == "f1_mcro.low"
        )


def test_bundles_are_called_by_their_names_and_by_short_ids_where_these_are_equal(tmp_path: Path) -> None:
    sides = [trained({"a": "red", "b": word}, tmp_path / word) for word in ("blue", "green")]
    found = compare(*sides, load_dataset(tmp_path / "blue")["train"], resamples=2)
    same = tuple(f"bundle ({side.bundle.manifest.id[:8]})" for side in sides)
    assert found.names == same and page(found).title == "{} (A) against {} (B)".format(*same)
    other = found.model_copy(update={"b": found.b.model_copy(update={"name": "next"})})
    assert page(other).title == "bundle (A) against next (B)"


def trained(rows: dict[str, str], target: Path) -> Classifier:
    """A linear model of words: each label has one; half of its rows are validated on."""
    lines = [f"{word} number {n}\t{label}" for label, word in rows.items() for n in range(12)]
    target.mkdir()
    (target / "train.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    recipe = {"kind": "linear", "task": "multiclass", "data": {"name": str(target), "valid": 0.25}}
    bundle = train(parse_recipe(recipe), target / "bundle")
    assert bundle is not None
    return Classifier.open(bundle)


def test_labels_and_rows_that_only_one_bundle_knows_are_named_and_gated(tmp_path: Path) -> None:
    known = {"pay": "invoice", "ship": "parcel", "lock": "password", "shop": "opening"}
    a = trained({name: known[name] for name in ("pay", "ship", "lock")}, tmp_path / "a")
    b = trained({name: known[name] for name in ("pay", "ship", "shop")}, tmp_path / "b")
    rows = [Example(f"{word} number 99", (label,)) for label, word in {**known, "music": "song"}.items()]
    split = Dataset.from_examples({"test": rows})["test"]
    found = compare(a, b, split, resamples=20, gate="label_f1>=-0.1,lost_labels<=0,new_labels<=0")
    assert (found.only_a_knows, found.only_b_knows, found.unknown) == ({"lock": 1}, {"shop": 1}, {"music": 1})
    said = "\n".join(line for _, line in labels_said(found))
    for line in ('only A knows "lock" (1 row)', 'only B knows "shop" (1 row)', 'neither knows "music" (1 row)'):
        assert line in said
    # One row is enough: B cannot decide the label any more.
    assert [gate.holds for gate in found.gates] == [False, False, False]
    assert 'gate label_f1>=-0.1 failed: measured -1 for "lock"' in map(str, found.gates)
    same = compare(a, a, split, resamples=20, gate="label_f1>=-0.1,lost_labels<=0,new_labels<=0")
    assert same.passed and not same.only_a_knows and not list(same.most_changed(5))


def test_rows_that_only_one_bundle_has_learned_from_are_left_out(tmp_path: Path) -> None:
    a = trained({"pay": "invoice", "ship": "parcel"}, tmp_path / "a")
    b = trained({"pay": "bill", "ship": "parcel"}, tmp_path / "b")
    fair = [Example("parcel number 99", ("ship",)), Example("INVOICE number 98", ("pay",))]
    bills = [Example(f"Bill number {n}!", ("pay",)) for n in range(12)]
    found = compare(a, b, Dataset.from_examples({"test": [*fair, *bills]})["test"], resamples=20)
    assert 6 <= found.left_out <= 10 and found.n == 14 - found.left_out, "those in the training rows of B"
    assert f"{found.left_out} rows left out: only one of the two has learned from them" in found.reason
    learned = [row for row, is_learned in zip(bills, shares.learned(b.bundle.path, bills), strict=True) if is_learned]
    with pytest.raises(DataError, match="were training rows of one of the two bundles"):
        compare(a, b, Dataset.from_examples({"test": learned})["test"], resamples=20)
