"""The provider ``google``, through the vendor's own client, against a server that speaks its protocol."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purport.errors import DependencyMissing, ProviderError, RecipeError
from purport.kinds.llm.model import LlmScorer
from purport.labels import Task
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

from . import test_llm
from .scripted_llm import Script, serving
from .service_cases import a_redirect_takes_no_text_elsewhere, a_service_that_is_not_there_is_said_to_be_unreachable
from .test_llm import HOSTILE, KEY, LABELS, TEXTS, decided


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_API_KEY", "AIza-of-something-else")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def script() -> Iterator[Script]:
    with serving(Script()) as running:
        running.url = running.url.removesuffix("/v1")
        yield running


def scorer(script: Script, **more: Any) -> LlmScorer:
    return test_llm.scorer(script, name="google", **more)


def blocked(**candidate: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": []}, **candidate}]}


def test_it_is_asked_in_its_own_protocol(script: Script) -> None:
    model = scorer(script, options={"temperature": 0}, budget={"usd": 1, "input_price": 10, "output_price": 100})
    assert decided(model, TEXTS) == ["flight", "fare", "meal"]
    body, config = script.asked[0], script.asked[0]["generationConfig"]
    assert config["responseMimeType"] == "application/json" and config["temperature"] == 0
    assert config["responseJsonSchema"]["properties"]["label"]["enum"] == [*LABELS.names, "none of these"]
    assert config["maxOutputTokens"] > 0 and len(body["contents"]) == 1
    assert len({json.dumps(each["systemInstruction"]) for each in script.asked}) == 1, "a prefix that can be cached"
    assert script.keys == [KEY] * 3, "no other key of the environment"
    usage = model.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (300, 120, 45), "thoughts are paid"
    assert usage.usd == pytest.approx(3 * (100 * 10 + 15 * 100) / 1e6)


def test_several_labels(script: Script) -> None:
    logits = scorer(script, task=Task.MULTILABEL).score(["food and what it cost", "hello"]).logits
    assert (logits[0] > 0).tolist() == [False, True, True] and (logits[1] < 0).all()


def test_hostile_texts_change_no_answer_but_their_own(script: Script) -> None:
    found = decided(scorer(script), [*TEXTS, *HOSTILE])
    assert found[:3] == ["flight", "fare", "meal"]
    sent = {json.loads(body["contents"][0]["parts"][0]["text"]) for body in script.asked}
    assert sent == {*TEXTS, *HOSTILE}


def test_429_is_tried_again_after_the_pause_that_the_service_names(script: Script) -> None:
    model = scorer(script)
    model.score([TEXTS[1]])  # makes the client
    script.faults += [(429, {"error": {"code": 429, "message": "slowly"}}, {"Retry-After": "1"})]
    began = time.monotonic()
    assert decided(model, [TEXTS[0]]) == ["flight"]
    assert 1.0 <= time.monotonic() - began < 10 and len(script.asked) == 3


def test_500_is_tried_again_and_then_an_error(script: Script) -> None:
    script.faults += [(503, b"oops")]
    assert decided(scorer(script, retries=1), [TEXTS[0]]) == ["flight"]
    script.faults += [(500, {"error": {"code": 500}})] * 2
    with pytest.raises(ProviderError, match="answers 500"):
        scorer(script, retries=1).score([TEXTS[0]])
    assert len(script.asked) == 4


def test_a_service_that_hangs_is_given_up_and_may_have_been_paid(script: Script) -> None:
    script.faults += [4]
    with pytest.raises(ProviderError, match=r"no answer within 1 s \(1 attempt\)"):
        scorer(script, retries=0, timeout_s=1).score([TEXTS[0]])
    script.faults += [4]
    model = scorer(script, retries=1, timeout_s=1)
    assert decided(model, [TEXTS[0]]) == ["flight"] and model.usage.requests == 2


@pytest.mark.parametrize(
    "garbage", [b"<html>busy</html>", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"candidates": 5}']
)
def test_what_is_not_the_protocol_is_an_error_that_says_so(script: Script, garbage: bytes) -> None:
    script.faults += [garbage] * 3
    with pytest.raises(ProviderError, match="something else than the protocol says"):
        scorer(script).score([TEXTS[0]])
    assert len(script.asked) == 1


@pytest.mark.parametrize("content", ["meal", '{"label": "dinner"}', '{"label": ', "[]", ""])
def test_a_reply_outside_the_labels_is_repaired_once(script: Script, content: str) -> None:
    script.faults += [content]
    model = scorer(script)
    assert decided(model, [TEXTS[0]]) == ["flight"] and model.usage.repaired == 1
    script.faults += [content] * 2
    assert decided(scorer(script, concurrency=1), TEXTS[:2]) == [None, "fare"]


@pytest.mark.parametrize(
    "reply",
    [blocked(finishReason="SAFETY"), blocked(finishReason="PROHIBITED_CONTENT"),
     {"promptFeedback": {"blockReason": "SAFETY"}}, {"promptFeedback": {}}],
)  # fmt: skip
def test_a_refusal_is_of_that_text_alone_and_not_repaired(script: Script, reply: dict[str, Any]) -> None:
    script.faults += [reply]
    model = scorer(script, concurrency=1)
    assert decided(model, TEXTS[:2]) == [None, "fare"] and model.usage.repaired == 0 and len(script.asked) == 2


def test_a_redirect_takes_no_text_elsewhere(script: Script) -> None:
    a_redirect_takes_no_text_elsewhere(script, scorer, "/x:generateContent")


def test_a_service_that_is_not_there(script: Script) -> None:
    a_service_that_is_not_there_is_said_to_be_unreachable(script, scorer)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_wrong_key_is_named_by_its_variable_and_shown_nowhere(script: Script, status: int) -> None:
    details = [{"reason": "API_KEY_INVALID"}]
    script.faults += [(status, {"error": {"code": status, "message": f"bad key {KEY}", "details": details}})]
    with pytest.raises(ProviderError, match="check the key in GEMINI_API_KEY") as failure:
        scorer(script).score([TEXTS[0]])
    assert KEY not in str(failure.value) + repr(failure.value.__dict__) and len(script.asked) == 1


def test_without_a_key_the_error_names_the_variable(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    with pytest.raises(ProviderError, match="set the environment variable GEMINI_API_KEY"):
        scorer(script).score(["fly"])
    assert decided(scorer(script, key=""), ["fly"]) == ["flight"] and script.keys == ["none"]


def test_options_are_fields_of_the_client_that_cost_nothing(script: Script) -> None:
    with pytest.raises(ProviderError, match='knows no "maxOutputTokens"'):
        scorer(script, options={"maxOutputTokens": 10**6}).score(["fly"])
    for name in ("max_output_tokens", "candidate_count", "response_json_schema", "tools"):
        with pytest.raises(RecipeError, match=f"cannot set {name}"):
            parse_recipe({
                "kind": "llm", "task": "multiclass", "data": {"name": "sample"},
                "provider": {"name": "google", "model": "m", "options": {name: 1}},
            })  # fmt: skip
    assert script.asked == []


def test_no_more_requests_at_a_time_than_allowed(script: Script) -> None:
    script.latency_s = 0.02
    scorer(script, concurrency=3).score([f"fly {number}" for number in range(20)])
    assert script.most_at_once <= 3


def test_from_a_recipe_to_a_bundle_without_the_key_in_any_file(script: Script, tmp_path: Path) -> None:
    table = tmp_path / "table.tsv"
    what = [("fly", "flight"), ("cost", "fare"), ("food", "meal")]
    table.write_text("\n".join(f"{text} {n}\t{label}" for n in range(8) for text, label in what), "utf-8")
    made = {
        "kind": "llm", "task": "multiclass", "data": {"name": str(table), "valid": 0.5}, "prompt": {"votes": 2},
        "provider": {"name": "google", "model": "gemini-x", "base_url": script.url},
    }  # fmt: skip
    bundle = train(parse_recipe(made), tmp_path / "bundle")
    assert bundle is not None and script.asked
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


def test_without_the_client_the_error_names_the_extra(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other packages share the namespace ``google``, which is therefore there."""
    monkeypatch.setitem(sys.modules, "google.genai", None)
    monkeypatch.delitem(sys.modules, "purport.kinds.llm.google", raising=False)
    with pytest.raises(DependencyMissing, match=r"\[google\]"):
        scorer(script)
