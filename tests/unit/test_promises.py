"""Promises: what can be asked for, when it is refused, that it holds as often as it says, and what verify finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from purport import Bundle, Classifier, Dataset, Example
from purport.cli.main import app
from purport.errors import BundleError, PromiseConflict, PromiseUnkept, RecipeError, RowsTooFew
from purport.evaluation.bounds import Accepted, exact_interval, lower, rows_needed, upper
from purport.evaluation.judged import Judged
from purport.evaluation.traffic import traffic_of
from purport.evaluation.verification import TermCheck, verify
from purport.kinds.recipe import Decide
from purport.labels import LabelSet, Task
from purport.manifest import Decision, Likeliest, Manifest, PerLabel
from purport.model import Answers
from purport.promise import ScoreCounts, Term
from purport.runtime.decision import acceptance, decide
from purport.training.enough import lopsided, require_rows
from purport.training.markdown import prose
from purport.training.pipeline import train
from purport.training.promising import fit_promise
from purport.training.recipe import parse_recipe

LABELS = LabelSet([f"label {number}" for number in range(6)])


def asked(*promise: str, **fields: Any) -> Decide:
    return Decide.model_validate({"promise": promise, "certainty": 0.95, **fields})


def drawn(rng: np.random.Generator, n: int, strange: float = 0.0, *, sure: float = 8.0) -> tuple[Answers, np.ndarray]:
    """Answers to ``n`` rows of six labels, of which the share ``strange`` has none; the more ``sure``, the better."""
    inside, gold = rng.random(n) >= strange, np.zeros((n, 6), dtype=np.bool_)
    label = rng.integers(0, 6, n)
    gold[np.flatnonzero(inside), label[inside]] = True
    confidence = np.where(inside, rng.beta(sure, 1, n), rng.beta(2, 2, n)).astype(np.float32)
    right = rng.random(n) < confidence
    best = np.where(right, label, (label + rng.integers(1, 6, n)) % 6)
    proba = np.repeat(((1 - confidence) / 5)[:, None], 6, axis=1)
    proba[np.arange(n), best] = confidence
    in_scope = np.where(inside, rng.beta(8, 1, n), rng.beta(1, 2, n)).astype(np.float32)
    return Answers(proba.astype(np.float32), in_scope, np.zeros(n, dtype=np.bool_)), gold


def perfect(n: int, wrong: int = 0) -> tuple[Answers, np.ndarray]:
    """``n`` sure answers to two labels, of which the first few are ``wrong``."""
    proba = np.tile(np.array([0.9, 0.1], dtype=np.float32), (n, 1))
    gold = np.tile([True, False], (n, 1))
    gold[:wrong] = ~gold[:wrong]
    return Answers(proba, np.ones(n, dtype=np.float32), np.zeros(n, dtype=np.bool_)), gold


# What can be asked for


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("wrong_accepted <= 0.05", Term(measure="wrong_accepted", level=0.05)),
        ("answered>=0.8", Term(measure="answered", level=0.8)),
        (" oos_accepted  <=  10% ", Term(measure="oos_accepted", level=0.1)),
    ],
)
def test_a_promise_is_read_however_it_is_spaced(written: str, expected: Term) -> None:
    assert Term.parse(written) == expected
    assert Term.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        ("wrong_acepted <= 0.05", 'Did you mean "wrong_accepted"?'),
        ("wrong_accepted < 0.05", 'needs "<=", not "<"'),
        ("answered <= 0.8", 'answered needs ">="'),
        ("wrong_accepted <= 5", "Did you mean 0.05?"),
        ("wrong_accepted <= 0", "more than 0 and less than 1"),
        ("wrong_accepted <= few", '"few" is not a number'),
        ("be good", "write, for example"),
        (["wrong_accepted <= 0.1", "wrong_accepted <= 0.2"], "says two things of wrong_accepted"),
    ],
)
def test_a_promise_that_cannot_be_read_is_an_error_with_the_right_one(promise: Any, said: str) -> None:
    raw = {"kind": "linear", "task": "multiclass", "data": {"name": "sample"}, "decide": {"promise": promise}}
    with pytest.raises(RecipeError, match="promise") as caught:
        parse_recipe(raw)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("decide", "data", "said"),
    [
        ({"promise": "answered >= 0.5", "reject_below": 0.4}, {}, "remove reject_below"),
        ({"out_of_scope_share": [0, 0.2]}, {}, "only for decide.promise"),
        ({"promise": "answered >= 0.5", "out_of_scope_share": [0.3, 0.2]}, {}, "the lowest share first"),
        ({}, {"calibration": 0.2}, "data.calibration is only for decide.promise"),
    ],
)
def test_settings_that_contradict_a_promise_are_errors(decide: Any, data: Any, said: str) -> None:
    raw = {"kind": "linear", "task": "multiclass", "data": {"name": "sample", **data}, "decide": decide}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(raw)
    assert said in str(caught.value)


@pytest.mark.parametrize(("valid", "share"), [("valid", 0.5), (0.1, 0.2)])
def test_a_promise_sets_calibration_rows_aside_unless_the_recipe_says_how_many(valid: Any, share: float) -> None:
    raw = {"kind": "linear", "task": "multiclass", "decide": {"promise": "answered >= 0.5"}}
    recipe = parse_recipe({**raw, "data": {"name": "sample", "valid": valid}})
    assert recipe.data.calibration == share
    assert parse_recipe(recipe.model_dump(mode="json", exclude_none=True)) == recipe
    assert parse_recipe({**raw, "data": {"name": "sample", "calibration": 0.3}}).data.calibration == 0.3
    assert recipe.without_promise().data.calibration is None


# Bounds


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    from scipy.stats import binomtest

    for hits, n in [(0, 10), (3, 10), (10, 10), (17, 400)]:
        expected = binomtest(hits, n).proportion_ci(0.9, method="exact")
        assert np.allclose((lower(hits, n, 0.95), upper(hits, n, 0.95)), (expected.low, expected.high))
        assert np.allclose(exact_interval(hits, n, 0.9), (expected.low, expected.high))
    assert (float(lower(0, 0, 0.95)), float(upper(0, 0, 0.95))) == (0, 1)


def test_the_bound_of_wrong_answers_covers_their_share_whatever_part_of_the_traffic_is_out_of_scope() -> None:
    rng, n, shares = np.random.default_rng(0), 4000, (0.0, 0.1, 0.4)
    inside, outside, a, w, s = 300, 80, 0.8, 0.06, 0.15
    answered = rng.binomial(inside, a, n)
    counted = Accepted(
        np.full(n, inside), np.full(n, outside), answered, rng.binomial(answered, w), rng.binomial(outside, s, n)
    )
    for share in shares:
        truth = ((1 - share) * a * w + share * s) / ((1 - share) * a + share * s)
        assert (counted.wrong_bound(share, 0.95) >= truth).mean() >= 0.95
    bounds = np.stack([counted.wrong_bound(share, 0.95) for share in np.linspace(0.01, 1, 40)])
    assert (np.diff(bounds, axis=0) >= 0).all(), "a bound for a share holds for smaller shares"


# Refusals


@pytest.mark.parametrize(
    ("promise", "certainty", "needed"),
    [(["wrong_accepted <= 0.05"], 0.95, 59), (["wrong_accepted <= 0.01"], 0.99, 459), (["answered >= 0.9"], 0.95, 29),
     (["wrong_accepted <= 0.05", "answered >= 0.5"], 0.95, 72)],
)  # fmt: skip
def test_one_row_fewer_than_needed_is_refused_with_the_number(
    promise: list[str], certainty: float, needed: int
) -> None:
    chosen = asked(*promise, certainty=certainty)
    found = fit_promise(chosen, Likeliest(), LabelSet("ab"), perfect(50), perfect(needed))
    assert found.answered == 1 and found.accept_at == 0 and found.rows == needed
    with pytest.raises(RowsTooFew, match=f"at least {needed} calibration rows with a label.*there are {needed - 1}"):
        fit_promise(chosen, Likeliest(), LabelSet("ab"), perfect(50), perfect(needed - 1))
    with pytest.raises(RowsTooFew, match=r"\(at (most|least) .+ %.+\) with certainty"):
        fit_promise(chosen, Likeliest(), LabelSet("ab"), perfect(50), perfect(needed - 1))
    assert rows_needed(0.05, 0.95) == 59


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ([("a",), ("b",)] * 20, None),
        ([()] * 17 + [("a",), ("b",), ("a",)], None),
        ([()] * 19 + [("a",)], "19 of 20 training rows have no label, so that the model learns little but to answer"),
        ([("a",)] * 20, 'have the label "a", so'),
        ([("a", "b")] * 19 + [("a",)], 'have the label "a" and the label "b", so'),
    ],
)
def test_rows_that_are_nearly_all_alike_teach_little(gold: list[tuple[str, ...]], said: str | None) -> None:
    found = lopsided(gold)
    assert found == said if said is None else found is not None and said in found


def test_the_rows_needed_keep_their_share_of_messages_out_of_scope() -> None:
    chosen = asked("wrong_accepted <= 0.1")
    with pytest.raises(RowsTooFew, match=r"10\.0 % of them without a label") as caught:
        require_rows(chosen, 45, 5)
    needed = int(str(caught.value).partition("at least ")[2].partition(" ")[0])
    inside = round(needed * 45 / 50)
    require_rows(asked("wrong_accepted <= 0.1", out_of_scope_share=[0, 0.1]), inside, needed - inside)
    with pytest.raises(RowsTooFew):
        inside = round((needed - 1) * 45 / 50)
        require_rows(asked("wrong_accepted <= 0.1", out_of_scope_share=[0, 0.1]), inside, needed - 1 - inside)


def test_messages_out_of_scope_cannot_be_promised_without_having_seen_any() -> None:
    with pytest.raises(RowsTooFew, match="no calibration row is out of scope"):
        require_rows(asked("wrong_accepted <= 0.1", out_of_scope_share=[0, 0.3]), 5000, 0)
    with pytest.raises(RowsTooFew, match=r"data\.unlabelled"):
        require_rows(asked("oos_accepted <= 0.1"), 5000, 28)
    require_rows(asked("oos_accepted <= 0.1"), 1, 29)


def test_too_few_rows_are_found_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = parse_recipe({
        "kind": "linear", "task": "multilabel", "data": {"name": "sample", "valid": 0.2, "unlabelled": "skip"},
        "decide": {"promise": "wrong_accepted <= 0.001", "certainty": 0.95},
    })  # fmt: skip
    with pytest.raises(RowsTooFew, match="2,995 calibration rows"):
        train(recipe, tmp_path / "bundle")


def test_what_the_model_cannot_keep_is_refused_with_what_it_can() -> None:
    rng = np.random.default_rng(1)
    valid, held = drawn(rng, 400, sure=1.0), drawn(rng, 400, sure=1.0)
    with pytest.raises(PromiseUnkept, match=r"do not show wrong_accepted <= 0\.02") as caught:
        fit_promise(asked("wrong_accepted <= 0.02"), Likeliest(), LABELS, valid, held)
    level = str(caught.value).partition("Relax it to wrong_accepted <= ")[2].partition(",")[0]
    fit_promise(asked(f"wrong_accepted <= {level}"), Likeliest(), LABELS, valid, held)


def test_two_promises_that_exclude_each_other_are_reported_with_numbers_that_do_not() -> None:
    rng = np.random.default_rng(2)
    valid, held = drawn(rng, 1000, sure=2.0), drawn(rng, 2000, sure=2.0)
    strict, many = "wrong_accepted <= 0.1", "answered >= 0.9"
    alone = fit_promise(asked(strict), Likeliest(), LABELS, valid, held)
    with pytest.raises(PromiseConflict, match="cannot both be promised") as caught:
        fit_promise(asked(strict, many), Likeliest(), LABELS, valid, held)
    said = str(caught.value)
    assert f"{100 * alone.answered:.0f}"[:1] in said, "what the stricter one leaves"
    fewer = said.partition("Relax it to answered >= ")[2].partition(". ")[0]
    more = said.partition("Relax it to wrong_accepted <= ")[2].removesuffix(".")
    fit_promise(asked(strict, f"answered >= {fewer}"), Likeliest(), LABELS, valid, held)
    fit_promise(asked(f"wrong_accepted <= {more}", many), Likeliest(), LABELS, valid, held)


# The guarantee


@pytest.mark.parametrize(
    ("promise", "strange", "options"),
    [
        (["wrong_accepted <= 0.1"], 0.0, {}),
        (["wrong_accepted <= 0.15"], 0.1, {"out_of_scope_share": [0, 0.3]}),
        (["oos_accepted <= 0.1"], 0.2, {}),
        (["wrong_accepted <= 0.1", "answered >= 0.5"], 0.0, {"certainty": 0.9}),
    ],
)
def test_of_500_promises_no_more_are_broken_than_the_certainty_allows(
    promise: list[str], strange: float, options: dict[str, Any]
) -> None:
    chosen, rng = asked(*promise, **options), np.random.default_rng(3)
    traffic = Judged.of(*drawn(rng, 200_000, strange, sure=12.0), Likeliest())
    valid = [drawn(rng, 300, strange, sure=12.0) for _ in range(5)]
    broken = made = 0
    for attempt in range(500):
        try:
            found = fit_promise(chosen, Likeliest(), LABELS, valid[attempt % 5], drawn(rng, 500, strange, sure=12.0))
        except (PromiseUnkept, PromiseConflict):
            continue
        made += 1
        counted = traffic.accepted(np.array([found.accept_at], dtype=np.float32))
        truth = {
            "wrong_accepted": float(counted.wrong_share(found.out_of_scope_share[1])[0]),
            "oos_accepted": float(counted.strange[0] / max(counted.outside[0], 1)),
            "answered": float(counted.answered[0] / counted.inside[0]),
        }
        broken += any(
            truth[term.measure] > term.level if term.at_most else truth[term.measure] < term.level
            for term in chosen.promise
        )
    assert made > 250, "most can be made"
    # 500 draws of a chance of 5 % are more than 8 % in one of 1,000 cases.
    assert broken / 500 <= 1 - chosen.certainty + 0.03


def test_a_promise_is_worth_more_answers_than_half_its_level() -> None:
    """A method may be right by holding everything back: this one answers as many as the level allows, nearly."""
    rng = np.random.default_rng(4)
    traffic = Judged.of(*drawn(rng, 200_000, sure=12.0), Likeliest())
    found = fit_promise(
        asked("wrong_accepted <= 0.04"), Likeliest(), LABELS, drawn(rng, 1000, sure=12.0), drawn(rng, 4000, sure=12.0)
    )
    risk = float(traffic.accepted(np.array([found.accept_at], dtype=np.float32)).wrong_share(0)[0])
    assert 0.03 <= risk <= 0.04


def test_answers_alone_are_promised_without_giving_up_a_better_cut() -> None:
    rng = np.random.default_rng(5)
    valid, held = drawn(rng, 2000, 0.3), drawn(rng, 2000, 0.3)
    few = fit_promise(asked("answered >= 0.2"), Likeliest(), LABELS, valid, held)
    assert few.answered > 0.8, "no more is held back than separates right from wrong"
    most = fit_promise(asked("answered >= 0.99"), Likeliest(), LABELS, valid, held)
    assert most.answered_at_least >= 0.99 and most.accept_at < few.accept_at


# Scores and decisions


def test_the_acceptance_score_is_the_chance_that_the_answer_is_right() -> None:
    proba = np.array([[0.9, 0.1], [0.6, 0.8]], dtype=np.float32)
    scope = np.array([1.0, 0.5], dtype=np.float32)
    one, several = Likeliest(), PerLabel(thresholds=(0.5, 0.5))
    decided = decide(proba, one, scope).labels
    assert np.allclose(acceptance(proba, decided, one, scope), [0.9, 0.4])
    decided = decide(proba, several, scope).labels
    assert np.allclose(acceptance(proba, decided, several, scope), [0.9 * 0.9, 0.5 * 0.6 * 0.8])


@pytest.mark.parametrize("decision", [Likeliest(accept_at=0.5), PerLabel(thresholds=(0.5, 0.5), accept_at=0.5)])
def test_answers_below_the_cut_are_held_back_and_a_threshold_by_hand_lifts_it(decision: Decision) -> None:
    proba = np.array([[0.9, 0.1], [0.6, 0.2]], dtype=np.float32)
    assert decide(proba, decision, np.array([1, 0.5], dtype=np.float32)).out_of_scope.tolist() == [False, True]
    assert decision.at(0.3).accept_at == 0


# Bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of four labels that promises something; one message in five is out of scope."""
    return _trained(
        tmp_path_factory.mktemp("promise") / "bundle", {"promise": "wrong_accepted <= 0.12", "certainty": 0.95}
    )


WORDS = {"pay": "invoice", "ship": "parcel", "lock": "password", "shop": "opening"}
FILLERS = ["my", "please", "the", "about", "today", "again", "sir", "question", "now", "still", "ask", "need"]


def _rows(n: int, seed: int, strange: float = 0.2) -> list[Example]:
    """Messages with a word of their label; some have that of another one, and some have none."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        label = str(rng.choice(list(WORDS)))
        text = [*rng.choice(FILLERS, 5, replace=False), f"n{rng.integers(0, 10**6)}"]
        if rng.random() < strange:
            found.append(Example(" ".join([*text, f"odd{rng.integers(0, 50)}"]), ()))
            continue
        word = WORDS[label] if rng.random() > 0.1 else str(rng.choice(list(WORDS.values())))
        found.append(Example(" ".join(rng.permutation([*text, word])), (label,)))
    return found


def _trained(out: Path, decide_: dict[str, Any], task: str = "multiclass") -> Bundle:
    data = Dataset.from_examples(
        {"train": _rows(600, 0), "valid": _rows(300, 1), "calibration": _rows(600, 2), "test": _rows(400, 3)},
        name="shop", task=Task(task),
    )  # fmt: skip
    recipe = parse_recipe({
        "kind": "linear", "task": task, "decide": decide_,
        "data": {"name": "shop", "valid": "valid", "calibration": "calibration", "unlabelled": "out_of_scope"},
    })  # fmt: skip
    found = train(recipe, out, dataset=data)
    assert found is not None
    return found


def _table(path: Path, rows: list[Example]) -> str:
    lines = [json.dumps({"text": row.text, "label": list(row.labels)}) for row in rows]
    path.write_text("\n".join(lines), "utf-8")
    return str(path)


def test_a_promise_survives_the_bundle_and_its_decision_keeps_it(bundle: Bundle) -> None:
    opened = Bundle.open(bundle.path).manifest
    assert opened.promise == bundle.manifest.promise is not None
    assert opened.decision.accept_at == opened.promise.accept_at > 0
    assert opened.promise.terms[0].bound <= 0.12 and opened.promise.rows + opened.promise.out_of_scope_rows == 600
    card = (bundle.path / "README.md").read_text("utf-8")
    assert prose("wrong_accepted <= 0.12: at most 12 % of the answers are wrong") in card
    assert prose(opened.promise.assumption) in card and "| messages out of scope |" in card


def test_a_promise_of_another_cut_than_the_decision_is_no_manifest(bundle: Bundle) -> None:
    fields = bundle.manifest.model_dump(mode="json")
    fields["decision"]["accept_at"] = 0.0
    with pytest.raises(ValueError, match="the promise is for accept_at"):
        Manifest.model_validate(fields)


def test_a_held_back_answer_says_why(bundle: Bundle) -> None:
    classifier = Classifier.open(bundle)
    rows = _rows(400, 4)
    held = [each for each in classifier.predict([row.text for row in rows]) if not each.labels]
    assert {each.reason for each in held} <= {
        "below_promise",
        "unlike_any_example",
        "between_labels",
        "unfamiliar_words",
    }
    assert classifier.predict([rows[0].text], threshold=0.0)[0].labels


def test_verify_tells_held_from_broken_from_too_few(bundle: Bundle, tmp_path: Path) -> None:
    def run(rows: list[Example], *more: str) -> tuple[int, str]:
        found = CliRunner().invoke(app, ["verify", str(bundle.path), _table(tmp_path / "rows.jsonl", rows), *more])
        return found.exit_code, found.output

    code, said = run(_rows(500, 5))
    assert code == 0 and "held" in said and "no shift found" in said and bundle.manifest.promise.assumption in said
    wrong = [Example(row.text, ("pay",) if row.labels != ("pay",) else ("ship",)) for row in _rows(500, 6, 0.0)]
    code, said = run(wrong, "--output", str(tmp_path / "found.json"))
    assert code == 1 and "broken" in said
    assert json.loads((tmp_path / "found.json").read_text())["terms"][0]["verdict"] == "broken"
    code, said = run(_rows(12, 7, 0.0))
    assert code == 0 and "too few rows to tell" in said


def test_verify_notices_rows_of_another_kind_and_more_of_them_out_of_scope(bundle: Bundle, tmp_path: Path) -> None:
    classifier = Classifier.open(bundle)
    same = verify(classifier, Dataset.from_examples({"new": _rows(500, 8)})["new"])
    assert not same.shift.found and same.within
    odd = [Example(f"{row.text} or parcel invoice", row.labels) for row in _rows(500, 9, 0.0)]
    assert verify(classifier, Dataset.from_examples({"new": odd})["new"]).shift.found
    more = verify(classifier, Dataset.from_examples({"new": _rows(500, 10, 0.5)})["new"])
    assert not more.within


def test_verify_estimates_the_share_of_unlabelled_traffic_that_is_out_of_scope(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "traffic.txt"
    file.write_text("\n".join(row.text for row in _rows(1500, 11, 0.5)) + "\n", "utf-8")
    rows = _table(tmp_path / "rows.jsonl", _rows(300, 12))
    found = CliRunner().invoke(app, ["verify", str(bundle.path), rows, "--traffic", str(file)])
    assert found.exit_code == 0, found.output
    assert "traffic.txt: about" in found.output and "train again with decide.out_of_scope_share" in found.output


def test_verify_needs_a_promise(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="promises nothing"):
        verify(Classifier.open("atis"), Dataset.from_examples({"new": _rows(3, 0)})["new"])
    assert Bundle.open("atis").manifest.promise is None and Bundle.open("atis").manifest.decision.accept_at == 0


def test_calibration_rows_are_said_to_say_nothing_new(bundle: Bundle, tmp_path: Path) -> None:
    rows = _table(tmp_path / "rows.jsonl", _rows(600, 2))
    found = CliRunner().invoke(app, ["verify", str(bundle.path), rows])
    assert "600 calibration rows of this bundle" in found.output


def test_several_labels_can_be_promised(tmp_path: Path) -> None:
    found = _trained(tmp_path / "bundle", {"promise": ["wrong_accepted <= 0.4", "oos_accepted <= 0.5"]}, "multilabel")
    promised = found.manifest.promise
    assert promised is not None and [kept.bound <= kept.promise.level for kept in promised.terms] == [True, True]
    result = verify(Classifier.open(found), Dataset.from_examples({"new": _rows(800, 13)})["new"])
    assert not result.broken


def test_the_share_out_of_scope_is_estimated_within_its_interval() -> None:
    rng = np.random.default_rng(6)

    def scores(n: int, share: float) -> np.ndarray:
        return np.where(rng.random(n) < share, rng.beta(2, 3, n), rng.beta(6, 2, n))

    edges = tuple(np.linspace(0.05, 0.95, 30).round(6).tolist())
    inside, outside = (np.sort(scores(500, share)) for share in (0.0, 1.0))
    counts = ScoreCounts(
        edges=edges,
        inside=(*np.searchsorted(inside, edges).tolist(), 500),
        outside=(*np.searchsorted(outside, edges).tolist(), 500),
    )
    covered = 0
    for _ in range(40):
        found = traffic_of("traffic", scores(800, 0.3), counts)
        covered += found.high is not None and found.low <= 0.3 <= found.high
    assert covered >= 34
    none = counts.model_copy(update={"outside": (0,) * len(counts.outside)})
    assert traffic_of("traffic", scores(2000, 0.0), none).low == 0
    unlike = traffic_of("traffic", scores(2000, 0.5), none)
    assert 0.1 < unlike.low <= 0.5 and unlike.share is None


@pytest.mark.parametrize("share", [0.18, 0.5])
def test_few_calibration_rows_out_of_scope_do_not_pull_the_estimated_share(share: float) -> None:
    rng, found = np.random.default_rng(7), []
    for _ in range(40):
        inside, outside = rng.beta(6, 1.5, 212), rng.beta(1.5, 3, 50)
        edges = np.unique(np.quantile([*inside, *outside], np.linspace(0, 1, 42)[1:-1]).round(6))
        below = [(*np.searchsorted(np.sort(each), edges).tolist(), len(each)) for each in (inside, outside)]
        scores = np.where(rng.random(400) < share, rng.beta(1.5, 3, 400), rng.beta(6, 1.5, 400))
        found.append(traffic_of("traffic", scores, ScoreCounts(edges=tuple(edges), inside=below[0], outside=below[1])))
    assert sum(each.high is not None and each.low <= share <= each.high for each in found) >= 35
    assert abs(np.mean([each.share or 0.0 for each in found]) - share) < 0.03


def test_texts_that_the_bundle_learned_are_named_in_traffic(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "traffic.txt").write_text(f"{_rows(1, 0)[0].text.upper()}\nsomething else entirely\n", "utf-8")
    rows = _table(tmp_path / "rows.jsonl", _rows(300, 12))
    found = CliRunner().invoke(app, ["verify", str(bundle.path), rows, "--traffic", str(tmp_path / "traffic.txt")])
    said = " ".join(found.output.split())
    assert "1 training text of this bundle, which score higher than new messages" in said
    assert "this estimate holds only if messages in scope score like" in said


FEW = "too few rows to tell"


@pytest.mark.parametrize(
    ("hits", "n", "verdict"),
    [(0, 58, FEW), (0, 59, "held"), (5, 100, "held"), (6, 100, FEW), (12, 100, "broken"), (0, 0, FEW)],
)
def test_verdicts_follow_the_exact_interval(hits: int, n: int, verdict: str) -> None:
    assert TermCheck.of(Term.parse("wrong_accepted <= 0.05"), hits, n).verdict == verdict
