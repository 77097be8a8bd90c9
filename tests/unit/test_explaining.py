"""Explanations: weights mean what their method says, and stand at the right characters."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from purport import Bundle, Classifier, Dataset, Task
from purport.cli.main import app
from purport.errors import LabelUnknown, MethodUnfit, TextEmpty, TextInvalid
from purport.explaining.beside import scope
from purport.explaining.explain import MOST_CALLS, explainer_for, planned
from purport.explaining.explanation import encode
from purport.explaining.question import Question, Units, log_odds, without_each
from purport.kinds.cascade.model import Cascade, Stage
from purport.kinds.linear.located import located
from purport.kinds.linear.model import LinearScorer
from purport.kinds.linear.ngrams import Ngrams
from purport.labelling.labelled import confidences
from purport.manifest import Manifest, ModelFacts, PerLabel, Provenance
from purport.model import Answers, Lengths, Traits
from purport.received import explanation
from purport.runtime import long_texts
from purport.serving.explanations import Explain, ExplainOptions, Probe
from purport.serving.operations import Request
from purport.text import segments, spans
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

TEXT = "Where is my parcel? And please send me the invoice."
LABELS = ("refund", "delivery", "greeting")
# Log odds of "refund" that a word adds; "very" adds half of them, "not" turns all round.
ADDED = {"refund": 4.0, "money": 2.0, "back": 1.0, "hello": -1.5}


class Script:
    """Adds words up, so that every method's weights can be worked out by hand."""

    def __init__(self, remote: bool = False) -> None:
        self.traits = Traits(remote=remote)
        self.asked: list[str] = []

    def odds(self, text: str) -> float:
        words = text.split()
        found = sum(ADDED.get(word, 0.0) for word in words) - 2.0
        found *= 1.5 if "very" in words else 1
        return -found if "not" in words else found

    def answer(self, texts: Sequence[str]) -> Answers:
        self.asked += texts
        odds = np.array([[self.odds(text), 0.0 - 3 * ("parcel" not in text), -6.0] for text in texts])
        proba = (1 / (1 + np.exp(-odds))).astype(np.float32).reshape(len(texts), 3)
        return Answers(proba, proba.max(axis=1, initial=0), np.zeros(len(texts), dtype=np.bool_))

    def lengths(self, texts: Sequence[str]) -> Lengths:
        return Lengths("characters", 512, np.array([len(text) for text in texts], dtype=np.int64))


def scripted(*, remote: bool = False) -> tuple[Classifier, Script]:
    manifest = Manifest(
        kind="scripted", opener="scripted", task=Task.MULTILABEL, labels=LABELS, model=ModelFacts(unit="characters"),
        decision=PerLabel(thresholds=(0.5,) * 3), provenance=Provenance(dataset="none", fingerprint="", rows={}),
    )  # fmt: skip
    model = Script(remote)
    return Classifier(Bundle(path=None, manifest=manifest), model), model  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def linear(linear_bundle: Bundle) -> Classifier:
    return Classifier.open(linear_bundle, threads=1)


@pytest.fixture(scope="module")
def atis() -> Classifier:
    return Classifier.open("atis", threads=1)


def weights(found: Any) -> dict[str, float]:
    return {word.text: round(word.weight, 3) for word in found.words}


def test_occlusion_is_what_is_lost_without_a_word() -> None:
    found = scripted()[0].explain("hello refund my money", method="occlusion")
    assert weights(found) == {"hello": -1.5, "refund": 4.0, "my": 0.0, "money": 2.0}
    assert (found.label, found.labels, found.value, found.base, found.gap) == (
        "refund", ("refund",), "log_odds", None, None,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["not refund money back", "hello not my money", "refund", "not hello back"])
def test_few_words_have_exact_shapley_values(text: str) -> None:
    classifier, script = scripted()
    words = text.split()
    expected: Counter[str] = Counter()
    for order in permutations(words):
        for at, word in enumerate(order):
            before, after = ([each for each in words if each in order[:end]] for end in (at, at + 1))
            expected[word] += script.odds(" ".join(after)) - script.odds(" ".join(before))
    total = len(list(permutations(words)))
    found = classifier.explain(text, method="shapley", label="refund")
    assert weights(found) == pytest.approx({word: value / total for word, value in expected.items()}, abs=2e-3)
    assert all(word.error == 0 for word in found.words)


def test_sampled_shapley_values_add_up_and_say_how_sure_they_are() -> None:
    classifier, script = scripted()
    words = [f"w{each}" for each in range(12)] + ["not", "very", "refund", "money"]
    found = classifier.explain(" ".join(words), method="shapley", label="refund")
    assert found.base is not None and found.gap == pytest.approx(0, abs=1e-9)
    assert sum(word.weight for word in found.words) == pytest.approx(found.full - found.base)
    assert found.full == pytest.approx(script.odds(" ".join(words)), abs=1e-3)
    by_word = {word.text: word for word in found.words}
    assert by_word["w3"].weight == by_word["w3"].error == 0
    exact = classifier.explain("not very refund money", method="shapley", label="refund")
    for word in exact.words:
        error = by_word[word.text].error
        assert error is not None and 0 < error < 1 and abs(by_word[word.text].weight - word.weight) < 4 * error


@pytest.mark.parametrize("method", ["occlusion", "shapley"])
@pytest.mark.parametrize("calls", [4, 9, 40, 200])
@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_no_more_texts_are_asked_than_allowed(method: str, calls: int, n: int) -> None:
    classifier, script = scripted()
    text = " ".join(["refund", *(f"w{each}" for each in range(n - 1))])
    found = classifier.explain(text, method=method, calls=calls)
    assert found.calls == len(script.asked) <= calls
    assert "".join(word.text for word in found.words).replace(" ", "") == text.replace(" ", "")


def test_a_model_that_costs_money_is_asked_sixteen_texts_at_most_and_never_nothing() -> None:
    classifier, script = scripted(remote=True)
    found = classifier.explain("please " * 30 + "refund money")
    assert len(script.asked) == found.calls <= 16 and len(found.words) < 16 and "taken together" in found.note
    classifier.explain("refund")
    assert all(text.strip() for text in script.asked)


@pytest.mark.parametrize("method", ["occlusion", "shapley"])
def test_what_workers_answered_before_is_not_asked_again(method: str) -> None:
    """A server's workers share the texts of the plan; the explanation is the same, and counts as many calls."""
    classifier, script = scripted()
    text = "hello refund my money"
    expected = classifier.explain(text, method=method, calls=32)
    _, explainer = explainer_for(classifier.bundle, method)
    units, weighing = planned(explainer, text, 32)
    texts = list(dict.fromkeys([text, *(units.kept(row) for row in explainer.plan(len(units), weighing))]))
    results = Probe()(classifier, [Request(each, each == text) for each in texts])
    options = ExplainOptions(None, method, 32, 2, known={a: b.body for a, b in zip(texts, results, strict=True)})
    script.asked.clear()
    (found,) = Explain()(classifier, [Request(text, options)])
    assert json.loads(found.body) == json.loads(json.dumps(encode(expected)))
    assert not set(script.asked) & set(texts)
    assert Explain().cost(text, classifier.bundle.manifest.model) >= 1 and options.asked(text) == max(
        1, 32 - len(texts)
    )


def test_a_cascade_is_explained_by_asking_all_of_it() -> None:
    """The first stage settles nothing here, so that the weights are those of the second."""
    (first, _), (second, script) = scripted(), scripted()
    stages = [Stage(first, np.arange(3), 2.0), Stage(second, np.arange(3), 0.0)]
    cascade = Classifier(first.bundle, Cascade(stages))
    found = cascade.explain("hello refund my money")
    assert found.method == "occlusion" and found.words == second.explain("hello refund my money").words
    assert found.examples.favour == () and script.asked


def test_an_answer_of_a_cascade_does_not_depend_on_what_is_asked_beside_it() -> None:
    """The first stage settles "refund ..." and has no evidence; the others have that of the second stage."""
    (first, _), (second, script) = scripted(), scripted()
    answer = script.answer
    script.answer = lambda texts: replace(  # type: ignore[method-assign]
        answer(texts), in_scope=np.full(len(texts), 0.1, dtype=np.float32),
        evidence=np.full((len(texts), 4), -1.0, dtype=np.float32),
    )  # fmt: skip
    stages = [Stage(first, np.arange(3), 0.6), Stage(second, np.arange(3), 0.0)]
    decision = PerLabel(thresholds=(0.5,) * 3, in_scope_at=0.5)
    manifest = first.bundle.manifest.model_copy(update={"decision": decision})
    cascade = Classifier(Bundle(path=None, manifest=manifest), Cascade(stages))  # type: ignore[arg-type]
    text = "refund refund hello"
    alone, beside = cascade.answer([text]), cascade.answer([text, "parcel"])
    assert beside.evident.tolist() == [False, True] and alone.evident.tolist() == [False]
    assert confidences(cascade, beside)[0] == confidences(cascade, alone)[0]
    for answers in (alone, beside):
        answers.probabilities[0], answers.in_scope[0] = 0.1, 0.1
        assert cascade.predictions(answers, *[[None] * len(answers.in_scope)] * 2)[0].reason == "no_label_decided"
        assert scope(answers, LABELS) == ()
    probes = Probe()(cascade, [Request(each, each == text) for each in (text, "parcel", "hello")])
    options = ExplainOptions(None, "occlusion", 32, 2, known={text: probes[0].body})
    (served,) = Explain()(cascade, [Request(text, options)])
    assert json.loads(served.body) == json.loads(json.dumps(encode(cascade.explain(text))))


def test_the_smallest_edit_leaves_out_what_decides() -> None:
    classifier, _ = scripted()
    one = classifier.explain("my refund please", method="occlusion").edit
    assert one is not None and (one.text, one.removed, one.labels) == ("my please", ((3, 9),), ())
    text = "my refund and my money for this broken thing"
    two = classifier.explain(text, method="shapley").edit
    assert two is not None and [text[slice(*each)] for each in two.removed] == ["refund", "money"]
    assert classifier.explain("some words without any meaning at all").edit is None
    other = classifier.explain("hello refund", method="occlusion", label="greeting").edit
    assert other is not None and other.labels == ()


def test_any_label_can_be_explained() -> None:
    classifier, _ = scripted()
    found = classifier.explain("where is my parcel", label="delivery", method="occlusion")
    assert found.label == "delivery" and weights(found)["parcel"] == 3.0
    # By default what is decided is explained, and if nothing is, what is likeliest.
    assert classifier.explain("back").label == "refund" and classifier.explain("x").labels == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what's  the fare?!", ["what's", "the", "fare", "?!"]),
        ("ฉันอยาก", ["ฉั", "น", "อ", "ยา", "ก"]),
        ("退货 ok", ["退", "货", "ok"]),
        ("cafe\u0301 👩‍👩‍👧!", ["cafe\u0301", "👩‍👩‍👧", "!"]),
        ("a\u200bb \u2060 c", ["a", "b", "c"]),
        ("C++ costs $5", ["C++", "costs", "$", "5"]),
    ],
)
def test_words_stand_at_the_characters_of_the_text_itself(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in spans(text)] == expected
    found = scripted()[0].explain(text)
    assert [(word.text, text[word.start : word.end]) for word in found.words] == [(each, each) for each in expected]


@given(st.text())
def test_parts_are_in_order_and_make_the_whole_text(text: str) -> None:
    found = spans(text)
    assert all(start < end for start, end in found) and found == sorted(found)
    assert all(left[1] <= right[0] for left, right in pairwise(found))
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    if text.strip():
        question = Question(scripted()[0], Units(text, 5))
        assert "".join(question.units._parts) == text and len(question.units) <= 5
        left_out = sum(question.without(row) != text for row in without_each(len(question.units)))
        assert left_out == len(question.units)


@settings(max_examples=300)
@example("\x85", 2)  # no word, and not ASCII
@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([1, 2]))
def test_located_ngrams_are_those_that_the_model_reads(text: str, splitting: Any) -> None:
    ngrams = Ngrams(splitting=splitting, characters=(1, 3))
    found = list(located(ngrams, text))
    assert Counter(each.term for each in found) == Counter(ngrams(text))
    assert all(each.places and all(0 <= place < len(text) for place in each.places) for each in found)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "İstanbul'da ılık kargom nerede",
        "退货 my parcel 你好",
        "ฉันต้องการคืนเงิน invoice",
        "ﬁne cafe\u0301 👩‍👩‍👧",
        "zzz",
    ],
)
def test_contributions_add_up_to_the_logit(linear: Classifier, text: str) -> None:
    assert text.encode() and len(segments(text))
    for label in linear.labels:
        found = linear.explain(text, label=label)
        assert found.method == "contributions" and found.value == "logit" and found.base is not None
        logits = linear.model.score([text]).logits[0]  # type: ignore[attr-defined]
        assert found.full == pytest.approx(float(logits[linear.labels.names.index(label)]))
        assert found.base + sum(word.weight for word in found.words) == pytest.approx(found.full, abs=1e-5)


def test_contributions_to_a_long_text_are_those_of_the_sentence_that_decides(linear: Classifier) -> None:
    """They were those of the part that is read of the whole, which says nothing of the answer."""
    asked = "Please send me the invoice."
    before = f"The Please send me the invoice. page is nice, {'and so on, ' * 200}\n"
    text = before.replace(asked, asked.rstrip(".")) + asked + "\nYours, somebody"
    whole, alone = linear.explain(text), linear.explain(asked)
    assert (whole.label, whole.full, whole.base) == (alone.label, alone.full, alone.base)
    assert whole.base + sum(word.weight for word in whole.words) == pytest.approx(whole.full, abs=1e-5)  # type: ignore[operator]
    assert min(word.start for word in whole.words if word.weight) >= len(before) - 1
    assert "one of its sentences" in whole.note and "one of its sentences" not in alone.note


@pytest.mark.parametrize("method", ["contributions", "occlusion", "shapley"])
def test_a_planted_word_that_decides_is_found(planted: Classifier, method: str) -> None:
    for text in ("please xyzzy my order today", "today my order please, xyzzy!"):
        found = planted.explain(text, method=method)
        assert found.labels == ("magic",)
        assert max(found.words, key=lambda word: word.weight).text == "xyzzy"
        assert found.edit is not None and [text[slice(*each)] for each in found.edit.removed] == ["xyzzy"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A linear bundle of random words, in which only ``xyzzy`` tells the labels apart."""
    random, words = (
        np.random.default_rng(0),
        ["please", "my", "order", "today", "where", "is", "the", "new", "thing", "that", "came"],
    )
    directory = tmp_path_factory.mktemp("planted")
    rows = []
    for at in range(200):
        text = [*random.choice(words, 6), *(["xyzzy"] if at % 2 else [])]
        rows.append(f"{' '.join(random.permutation(text))}\t{'magic' if at % 2 else 'plain'}")
    (directory / "rows.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    data = {"name": str(directory / "rows.tsv"), "valid": 0.2, "test": 0.1}
    bundle = train(parse_recipe({"kind": "linear", "task": "multiclass", "data": data}), directory / "bundle")
    assert bundle is not None
    return Classifier.open(bundle, threads=1)


def test_contributions_are_where_the_words_are(linear: Classifier) -> None:
    found = linear.explain("zzzz parcel qqqq", label="delivery_problem")
    by_word = weights(found)
    assert by_word["parcel"] == max(by_word.values()) and by_word["parcel"] > 0.3


@pytest.mark.parametrize("method", ["contributions", "occlusion", "shapley"])
def test_other_weights_give_another_explanation(linear_bundle: Bundle, method: str) -> None:
    """Adebayo et al. 2018: what stays the same for a model that knows nothing explains the text, not the model."""
    classifier = Classifier.open(linear_bundle, threads=1)
    before = classifier.explain(TEXT, label="delivery_problem", method=method)
    scorer = classifier.model.scorer  # type: ignore[attr-defined]
    assert isinstance(scorer, LinearScorer)
    np.random.default_rng(0).shuffle(scorer.weights)
    after = classifier.explain(TEXT, label="delivery_problem", method=method)
    rank = np.corrcoef(*[[word.weight for word in each.words] for each in (before, after)])[0, 1]
    assert abs(rank) < 0.6


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_located_tokens_are_those_that_the_model_reads(atis: Classifier, text: str) -> None:
    reader = atis.model.scorer.reader  # type: ignore[attr-defined]
    for each in (text, f"fligts {text} from bostn"):
        found = reader.located(each)
        assert [token for token, _ in found] == reader([each]).ids[0]
        assert all(place is None or 0 <= place < len(each) for _, place in found)


def test_a_corrected_word_is_where_the_misspelt_one_stands(atis: Classifier) -> None:
    text = "cafe\u0301 fligts from boston"
    found = atis.model.scorer.reader.located(text)  # type: ignore[attr-defined]
    places = {place for _, place in found if place is not None}
    assert text.index("fligts") in places and text.index("boston") + 5 in places


def test_integrated_gradients_are_complete(encoder_bundle: Bundle) -> None:
    pytest.importorskip("captum", reason="the extra explain is not installed")
    classifier = Classifier.open(encoder_bundle, threads=1)
    for method in ("integrated_gradients", "integrated_gradients_mask"):
        for label in (None, classifier.labels.names[0]):
            found = classifier.explain(TEXT, method=method, label=label)
            assert found.base is not None and found.gap is not None and found.value == "logit"
            assert abs(found.gap) < 0.01 * abs(found.full - found.base)
            logits = classifier.model.score([TEXT]).logits[0]  # type: ignore[attr-defined]
            assert found.full == pytest.approx(float(logits[classifier.labels.names.index(found.label)]), abs=0.05)


def test_gradients_of_a_long_text_are_those_of_the_sentence_that_decides(
    encoder_bundle: Bundle, sample: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("captum", reason="the extra explain is not installed")
    monkeypatch.setattr(long_texts, "_discounted", lambda probability, _: np.float32(probability))  # a sentence wins
    classifier = Classifier.open(encoder_bundle, threads=1)
    texts = [f"{'and so on, ' * 40}. {each}" for each in sample["valid"].texts]
    decisive = ((text, classifier.model.decisive(text)) for text in texts)  # type: ignore[attr-defined]
    text, (start, end) = next(each for each in decisive if each[1] is not None)
    found = classifier.explain(text, method="integrated_gradients")
    alone = classifier.explain(text[start:end], method="integrated_gradients", label=found.label)
    assert found.full == alone.full and "one of its sentences" in found.note
    weighty = [word.start for word in found.words if word.weight]
    assert weighty and all(start <= each < end for each in weighty)


def test_gradients_need_the_trained_weights(linear: Classifier, atis: Classifier) -> None:
    for classifier in (linear, atis):
        with pytest.raises(MethodUnfit, match="only bundles of kind encoder keep"):
            classifier.explain(TEXT, method="integrated_gradients")


def test_examples_for_have_the_label_and_those_against_have_not(atis: Classifier) -> None:
    found = atis.explain("flights from boston to denver and the fares", label="flight", examples=3)
    near = found.examples
    assert len(near.favour) == len(near.against) == 3 and near.label not in (None, "flight")
    assert all("flight" in each.labels for each in near.favour)
    assert all(near.label in each.labels and "flight" not in each.labels for each in near.against)
    assert near.favour[0].similarity == max(each.similarity for each in near.favour)
    assert atis.explain("flights", examples=0).examples.favour == ()


def test_out_of_scope_says_what_is_unlike_anything_known(atis: Classifier) -> None:
    found = atis.explain("order me a pizza with zorgblat")
    assert found.out_of_scope and found.reason == "unlike_any_example"
    assert found.scope[0].weight < 0 and "no training example" in " ".join(each.says for each in found.scope)
    assert "zorgblat" in found.unfamiliar and "me" not in found.unfamiliar
    assert atis.explain("flights from boston").unfamiliar == ()


def test_a_signal_that_speaks_against_a_text_never_reads_like_good_news() -> None:
    probabilities = np.array([[0.3, 0.1, 0.28]], np.float32)
    evidence = np.array([[-2.0, -0.3, 0.2, -0.9]], np.float32)
    answers = Answers(probabilities, np.array([0.2], np.float32), np.array([False]), evidence=evidence)
    says = {each.name: each.says for each in scope(answers, ("pin", "fee", "card"))}
    assert says["sureness"] == "the model is not sure of any label: the likeliest are pin (30%) and card (28%)"
    assert "a little less like it" in says["similarity"]
    assert says["centrality"].startswith("it is of the kind") and "do not occur" in says["familiarity"]


def test_what_cannot_be_explained_is_an_error(linear: Classifier, atis: Classifier) -> None:
    with pytest.raises(LabelUnknown, match='no label "deliver"'):
        linear.explain(TEXT, label="deliver")
    with pytest.raises(MethodUnfit, match=r'unknown method of explaining "oclusion".*occlusion'):
        linear.explain(TEXT, method="oclusion")
    with pytest.raises(MethodUnfit, match="only linear models add up; use occlusion or shapley"):
        atis.explain("flights", method="contributions")
    with pytest.raises(MethodUnfit, match="calls must be from"):
        atis.explain("flights", calls=MOST_CALLS + 1)
    with pytest.raises(TextEmpty):
        atis.explain(" \n")
    with pytest.raises(TextInvalid, match="surrogate"):
        atis.explain("\ud800")
    with pytest.raises(TextInvalid, match="characters"):
        atis.explain("a" * 20_000)


def test_an_explanation_survives_json(atis: Classifier) -> None:
    found = atis.explain("what does fare code q mean", method="shapley")
    sent = json.loads(json.dumps(encode(found)))
    again = explanation(sent)
    assert encode(again) == sent and again.words[0].text == "what" and again.edit is None


def test_log_odds_are_bounded() -> None:
    assert np.abs(log_odds(np.array([0, 1, 0.5], dtype=np.float32))).max() < 17


def test_who_adds_up_is_told_what_the_sum_is(linear_bundle: Bundle) -> None:
    """A sum of weights stands beside a calibrated probability, and need not be its log odds."""
    linear = Classifier.open(linear_bundle.path)
    found = linear.explain(TEXT, label="delivery_problem")
    assert found.value == "logit" and "no probability; the confidence is calibrated from this score." in found.note
    said = CliRunner().invoke(app, ["explain", str(linear_bundle.path), TEXT, "--label", "delivery_problem"]).output
    assert f"make {found.full:+.3f} (score before calibration, no probability)" in " ".join(said.split())
    odds = linear.explain(TEXT, label="delivery_problem", method="shapley")
    assert odds.confidence == pytest.approx(1 / (1 + np.exp(-odds.full)), abs=1e-5)
    assert "That value is the log odds of the confidence" in odds.note
    assert "log odds of" not in linear.explain(TEXT, method="occlusion").note.partition("add up")[2]
