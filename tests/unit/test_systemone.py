"""The provider ``systemone`` against a server that speaks its protocol over a real socket."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purport import Classifier
from purport.errors import BudgetSpent, DependencyMissing, ProviderError, RecipeError
from purport.kinds.llm.decisions import Questions
from purport.kinds.llm.model import LlmFacts, LlmScorer
from purport.kinds.llm.prompt import Example, PromptFile
from purport.kinds.llm.recipe import BudgetSpec, Service
from purport.labels import LabelSet, Task
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

from . import test_llm
from .scripted_llm import Script
from .service_cases import a_redirect_takes_no_text_elsewhere, a_service_that_is_not_there_is_said_to_be_unreachable
from .test_llm import HOSTILE, KEY, LABELS, TEXTS, WRITTEN, decided

NONE = "none of these"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TYPESAFE_API_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def scorer(script: Script, **more: Any) -> LlmScorer:
    return test_llm.scorer(script, name="systemone", confidence="scores", **more)


def many(script: Script, labels: int, task: Task) -> LlmScorer:
    service = Service(name="systemone", model="m", base_url=script.url, cache=False)
    facts = LlmFacts(provider=service, budget=BudgetSpec(), confidence="scores", votes=1, limit=4000, at_once=8)
    return LlmScorer(facts, WRITTEN, LabelSet(tuple(f"label {n}" for n in range(labels))), task)


def chose(shares: Any, choice: Any = "flight") -> dict[str, Any]:
    answer = {"type": "choice", "choice": choice, "confidence": 0.5, "probabilities": shares}
    return {"model": "m", "answers": {"label": answer}, "usage": {"input_tokens": 5, "output_tokens": 1}}


def test_it_is_asked_to_choose_between_the_labels_and_that_none_applies(script: Script) -> None:
    model = scorer(script, options={"effort": 1}, budget={"usd": 1, "input_price": 10, "output_price": 100})
    scores = model.score(TEXTS)
    assert [LABELS.names[each] for each in scores.logits.argmax(axis=1)] == ["flight", "fare", "meal"]
    assert {body["state"] for body in script.asked} == {*TEXTS} and script.keys == [f"Bearer {KEY}"] * 3
    body = script.asked[0]
    assert (body["model"], body["effort"]) == ("m", 1) and len(body["questions"]) == 1
    question = body["questions"]["label"]
    assert question["type"] == "choice" and question["instructions"] == "Classify."
    assert [*question["criteria"]] == [*LABELS.names, NONE] and question["criteria"][NONE] == "none applies"
    share = np.exp(scores.logits[0])
    assert share == pytest.approx(np.array([0.8, 0.2 / 3, 0.2 / 3]) + 0.2 / 9, abs=1e-4), "that of none is spread"
    usage = model.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (3, 300, 30)
    assert usage.usd == pytest.approx(3 * (100 * 10 + 10 * 100) / 1e6)


def test_several_labels_are_a_question_each_in_one_request(script: Script) -> None:
    logits = scorer(script, task=Task.MULTILABEL).score(["food and what it cost", "hello"]).logits
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(np.array([[0.1, 0.9, 0.9], [0.1, 0.1, 0.1]]), abs=1e-5)
    assert len(script.asked) == 2
    questions = script.asked[0]["questions"]
    assert [*questions] == [*LABELS.names] and {each["type"] for each in questions.values()} == {"noul"}
    assert questions["fare"]["instructions"] == 'Classify. Does the label "fare" apply?'


def test_many_labels_of_one_text_are_several_requests_which_count_together(script: Script) -> None:
    script.words = {"label 299": ("last",), "label 3": ("first",)}
    model = many(script, 300, Task.MULTILABEL)
    logits = model.score(["last", "first", "neither"]).logits
    assert [*map(list, map(np.flatnonzero, logits > 0))] == [[299], [3], []]
    assert sorted(len(body["questions"]) for body in script.asked) == [45] * 3 + [255] * 3
    script.faults += [{"model": "m", "answers": {}, "usage": {}}]
    assert model.score(["last"]).unanswered == [True], "half an answer is none"


def test_more_labels_than_a_choice_has_options_are_refused_before_anything_is_asked(script: Script) -> None:
    assert len(many(script, 254, Task.MULTICLASS).score(["x"]).logits[0]) == 254
    script.asked.clear()
    with pytest.raises(ProviderError, match="at most 254 labels, and there are 255"):
        many(script, 255, Task.MULTICLASS)
    assert script.asked == []


def test_criteria_have_the_descriptions_and_the_examples() -> None:
    written = PromptFile(
        instructions="Look\n closely.", out_of_scope="small talk", descriptions={"flight": "by air"},
        examples=(Example(text="to boston", labels=("flight",)), Example(text='a "quote"', labels=())),
    )  # fmt: skip
    service = Service(name="systemone", model="m")
    (request,) = Questions.of(written, LABELS, Task.MULTICLASS, service).requests("x")
    assert request.questions["label"] == {
        "type": "choice",
        "instructions": "Look closely.",
        "criteria": {
            "flight": 'by air Examples: "to boston"', "fare": "fare", "meal": "meal",
            NONE: 'small talk Examples: "a \\"quote\\""',
        },
    }  # fmt: skip


def test_hostile_texts_stay_in_their_place_and_change_no_answer_but_their_own(script: Script) -> None:
    found = decided(scorer(script), [*TEXTS, *HOSTILE])
    assert found[:3] == ["flight", "fare", "meal"]
    states = {body["state"] for body in script.asked}
    assert states == {*TEXTS, *(each.replace("\ud800", "?") for each in HOSTILE)}
    assert len({json.dumps({**body, "state": ""}) for body in script.asked}) == 1


# Faults


def test_429_is_tried_again_after_the_pause_that_the_service_names(script: Script) -> None:
    model = scorer(script)
    model.score([TEXTS[1]])
    script.faults += [(429, {"error": "slowly"}, {"Retry-After": "1"})]
    began = time.monotonic()
    assert decided(model, [TEXTS[0]]) == ["flight"]
    assert 1.0 <= time.monotonic() - began < 10 and len(script.asked) == 3


def test_500_is_tried_again_and_then_an_error(script: Script) -> None:
    script.faults += [(503, b"oops")]
    assert decided(scorer(script, retries=1), [TEXTS[0]]) == ["flight"]
    script.faults += [(500, b"oops")] * 2
    with pytest.raises(ProviderError, match="answers 500"):
        scorer(script, retries=1).score([TEXTS[0]])
    assert len(script.asked) == 4


def test_400_is_not_tried_again_and_of_one_text_alone_only_if_it_says_so(script: Script) -> None:
    script.faults += [(400, {"error": {"code": "max_tokens_exceeded"}})]
    assert decided(scorer(script, concurrency=1), TEXTS[:2]) == [None, "fare"]
    script.faults += [(400, {"error": "choice is not supported"})]
    with pytest.raises(ProviderError, match=r"answers 400 .*choice is not supported"):
        scorer(script).score([TEXTS[0]])
    assert len(script.asked) == 3


def test_a_service_that_hangs_is_given_up_and_may_have_been_paid(script: Script) -> None:
    script.faults += [4]
    with pytest.raises(ProviderError, match=r"no answer within 1 s \(1 attempt\)"):
        scorer(script, retries=0, timeout_s=1).score([TEXTS[0]])
    script.faults += [4]
    model = scorer(script, retries=1, timeout_s=1)
    assert decided(model, [TEXTS[0]]) == ["flight"] and model.usage.requests == 2


@pytest.mark.parametrize(
    "garbage",
    [b"<html>busy</html>", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"answers": 5}', b'{"answers": {"label": 5}}',
     b'{"answers": {"label": {"type": "choice", "choice": "fli', b"[" * 100_000],
)  # fmt: skip
def test_what_is_not_the_protocol_is_an_error_that_says_so(script: Script, garbage: bytes) -> None:
    script.faults += [garbage] * 3
    with pytest.raises(ProviderError, match="something else than the protocol says"):
        scorer(script).score([TEXTS[0]])
    assert len(script.asked) == 1


UNUSABLE = {
    "an option not offered": chose({"flight": 0.5, "train": 0.5}),
    "a choice not offered": chose({"flight": 1.0}, "train"),
    "NaN": chose({"flight": float("nan"), "fare": 1.0}),
    "infinite": chose({"flight": float("inf")}),
    "negative": chose({"flight": 1.5, "fare": -0.5}),
    "less than 1": chose({"flight": 0.5}),
    "more than 1": chose({"flight": 0.9, "fare": 0.9}),
    "nothing": chose({}),
    "words": chose({"flight": "high"}),
    "truth": chose({"flight": True}),
    "a list": chose([1.0]),
    "none": chose(None),
    "a choice that is a list": chose({"flight": 1.0}, ["flight"]),
}


@pytest.mark.parametrize("reply", UNUSABLE.values(), ids=UNUSABLE)
def test_probabilities_that_cannot_be_used_are_asked_for_once_more(script: Script, reply: Any) -> None:
    script.faults += [reply]
    model = scorer(script)
    assert decided(model, [TEXTS[0]]) == ["flight"] and model.usage.repaired == 1
    script.faults += [reply] * 2
    assert decided(scorer(script, concurrency=1), TEXTS[:2]) == [None, "fare"]


def test_rounded_probabilities_are_normalised_and_missing_ones_are_nothing(script: Script) -> None:
    script.faults += [chose({"flight": 0.33, "fare": 0.66})]
    share = np.exp(scorer(script).score([TEXTS[0]]).logits[0])
    assert share == pytest.approx([1 / 3, 2 / 3, 0], abs=1e-4)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), None, "yes", True])
def test_a_noul_that_is_no_probability(script: Script, value: Any) -> None:
    answers = {name: {"type": "noul", "noul": 0.5 if name == "meal" else value} for name in LABELS.names}
    script.faults += [{"answers": answers}] * 2
    scores = scorer(script, task=Task.MULTILABEL, concurrency=1).score(["fly", "food"])
    assert scores.unanswered is not None and scores.unanswered.tolist() == [True, False]


@pytest.mark.parametrize("answers", [{}, {"label": None}, {"other": {"type": "noul", "noul": 1}}])
def test_a_question_that_is_left_unanswered_is_that_text_alone(script: Script, answers: Any) -> None:
    script.faults += [{"model": "m", "answers": answers}]
    model = scorer(script, concurrency=1)
    assert decided(model, TEXTS[:2]) == [None, "fare"] and model.usage.repaired == 0 and len(script.asked) == 2


def test_a_redirect_takes_no_text_elsewhere(script: Script) -> None:
    a_redirect_takes_no_text_elsewhere(script, scorer, "/systemone")


def test_a_service_that_is_not_there(script: Script) -> None:
    a_service_that_is_not_there_is_said_to_be_unreachable(script, scorer)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_named_by_its_variable_and_shown_nowhere(script: Script, status: int) -> None:
    script.faults += [(status, {"error": f"bad key {KEY}"})]
    with pytest.raises(ProviderError, match="check the key in TYPESAFE_API_KEY") as failure:
        scorer(script).score([TEXTS[0]])
    assert KEY not in str(failure.value) + repr(failure.value.__dict__) and len(script.asked) == 1


def test_a_service_that_needs_no_key_gets_none(script: Script) -> None:
    assert decided(scorer(script, key=""), ["fly"]) == ["flight"] and script.keys == [""]


@pytest.mark.parametrize("url", ["", "/v1", "/v1/", "/"])
def test_the_address_may_end_as_others_do_or_before(script: Script, url: str) -> None:
    base = script.url.removesuffix("/v1")
    assert decided(scorer(script, base_url=f"{base}{url}"), ["fly"]) == ["flight"]


def test_the_budget_stops_before_it_is_passed_by_several_labels_too(script: Script) -> None:
    model = scorer(script, retries=0, concurrency=4, budget={"tokens": 5000}, task=Task.MULTILABEL)
    with pytest.raises(BudgetSpent, match="tokens are left"):
        model.score([f"fly {number:02}" for number in range(100)])
    usage = model.usage
    assert len(script.asked) > 20 and usage.input_tokens + usage.output_tokens <= 5000


def test_what_one_request_can_cost_is_no_less_than_what_is_sent(script: Script) -> None:
    for task in Task:
        model = many(script, 200, task)
        (request,) = model._prompt.requests("fly")
        model.score(["fly"])
        answer = sum(len(name) for name in request.labels)
        assert answer < request.max_tokens
        assert model.asker._budget.bound(request).tokens - request.max_tokens > len(json.dumps(script.asked[-1])), task


def test_the_same_request_costs_nothing_the_second_time_and_is_remembered_with_its_price(script: Script) -> None:
    priced = {"input_price": 10, "output_price": 100}
    first = scorer(script, cache=True, budget=priced)
    expected = first.score(TEXTS).logits
    second = scorer(script, cache=True, budget={**priced, "tokens": 1})
    assert (second.score(TEXTS).logits == expected).all() and len(script.asked) == 3
    assert second.usage.usd == 0 and second.usage.price == pytest.approx(first.usage.price) == first.usage.usd > 0


def test_options_cannot_replace_the_text() -> None:
    for name in ("state", "questions", "model"):
        with pytest.raises(RecipeError, match=f"cannot set {name}"):
            parse_recipe({
                "kind": "llm", "task": "multiclass", "data": {"name": "sample"},
                "provider": {"name": "systemone", "model": "m", "options": {name: 1}},
            })  # fmt: skip


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_from_a_recipe_to_a_bundle_without_the_key_in_any_file(script: Script, tmp_path: Path, task: str) -> None:
    table = tmp_path / "table.tsv"
    what = [("fly", "flight"), ("cost", "fare"), ("food", "meal")]
    table.write_text("\n".join(f"{text} {n}\t{label}" for n in range(8) for text, label in what), "utf-8")
    made = {
        "kind": "llm", "task": task, "data": {"name": str(table), "valid": 0.5},
        "provider": {"name": "systemone", "model": "jev", "base_url": script.url},
    }  # fmt: skip
    bundle = train(parse_recipe(made), tmp_path / "bundle")
    assert bundle is not None and bundle.facts(LlmFacts).confidence == "scores"
    assert Classifier.open(bundle).predict(["what does it cost"])[0].labels == ("fare",)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def test_without_httpx_the_error_names_the_extra(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each == "httpx" or each.startswith("httpx.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "purport.kinds.llm.systemone", raising=False)
    with pytest.raises(DependencyMissing, match=r"\[systemone\]"):
        scorer(script)
