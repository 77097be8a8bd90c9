"""Batches of a service: half the price, sent once, counted once, and asked for again after a stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from purport import Bundle, Classifier
from purport.cli.main import app
from purport.errors import BudgetSpent, ProviderError
from purport.kinds.llm import batcher
from purport.kinds.llm.model import LlmScorer
from purport.predict_file import predict_file, prefetch_file
from purport.testing import Recorder
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

from .scripted_llm import Script
from .test_llm import TEXTS, bound, decided, prices, recipe, scorer, table

__all__ = ["table"]
BOTH = pytest.mark.parametrize("name", ["openai", "anthropic"])


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-openai")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test-anthropic")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def asking(script: Script, name: str = "openai", **more: Any) -> LlmScorer:
    url = script.url if name == "openai" else script.url.removesuffix("/v1")
    return scorer(script, name=name, **{"base_url": url, "cache": True, "retries": 0, **more})


@BOTH
def test_a_batch_answers_as_single_requests_do_for_half_the_price(script: Script, name: str) -> None:
    script.polls = 2
    priced = {"input_price": 10.0, "output_price": 100.0}
    model, recorder = asking(script, name, votes=2, budget=priced), Recorder()
    model.prefetch([*TEXTS, TEXTS[0]], recorder)
    assert len(script.batches) == 1 and len(script.batches[0].given) == 6 and script.batches[0].polled >= 2
    assert decided(model, TEXTS) == ["flight", "fare", "meal"] and not script.asked
    alone = asking(script, name, votes=2, budget=priced, cache=False)
    assert (alone.score(TEXTS).logits == model.score(TEXTS).logits).all()
    assert model.usage.usd == pytest.approx(alone.usage.usd / 2) and model.usage.requests == 6
    assert (model.usage.input_tokens, model.usage.output_tokens) == (600, 60)
    assert any("batch-1" in line for line in recorder.lines)


@BOTH
def test_no_reply_of_a_batch_is_counted_twice_and_the_cache_knows_its_price(script: Script, name: str) -> None:
    priced = {"input_price": 10.0, "output_price": 100.0}
    model = asking(script, name, budget=priced)
    model.prefetch(TEXTS, Recorder())
    once = model.usage
    cost = model.score(TEXTS).cost
    assert cost is not None and cost[:, 1].sum() == pytest.approx(once.usd)
    assert (model.usage.usd, model.usage.price, model.usage.from_cache) == (once.usd, once.usd, 0)
    again = asking(script, name, budget=priced)
    again.prefetch(TEXTS, Recorder())
    assert len(script.batches) == 1 and again.usage.usd == 0
    again.score(TEXTS)
    assert again.usage.price == pytest.approx(once.usd) and again.usage.from_cache == 3


@BOTH
def test_a_line_that_fails_is_an_error_of_that_text_alone(script: Script, name: str) -> None:
    script.lines += ["expired", 400, None]
    model, recorder = asking(script, name, budget={"input_price": 10.0, "output_price": 100.0}), Recorder()
    model.prefetch(TEXTS, recorder)
    for _ in range(2):
        assert decided(model, TEXTS) == [None, None, "meal"] and not script.asked
    assert any("2 of 3 requests of the batch failed" in line for line in recorder.lines)
    third = asking(script, name, cache=False, budget={"input_price": 10.0, "output_price": 100.0})
    third.score(TEXTS[2:])
    assert model.usage.usd == pytest.approx(third.usage.usd / 2), "what failed costs nothing"
    again = asking(script, name)
    again.prefetch(TEXTS, Recorder())
    assert len(script.batches[1].given) == 2 and decided(again, TEXTS) == ["flight", "fare", "meal"]


@BOTH
def test_a_reply_outside_the_label_set_is_repaired_singly(script: Script, name: str) -> None:
    script.lines += ["nonsense"]
    model = asking(script, name)
    model.prefetch(TEXTS, Recorder())
    assert decided(model, TEXTS) == ["flight", "fare", "meal"]
    assert len(script.asked) == 1 and model.usage.repaired == 1 and model.usage.requests == 4
    assert decided(asking(script, name), TEXTS) == ["flight", "fare", "meal"] and len(script.asked) == 1


def test_the_whole_batch_is_held_before_it_is_sent_to_the_cent(script: Script) -> None:
    texts, priced = [f"fly {number:02}" for number in range(20)], prices(script)
    most = 20 * bound(asking(script, budget=priced)) / 2
    short = asking(script, budget={**priced, "usd": (most - 1) / 1e12})
    with pytest.raises(BudgetSpent, match=r"another batch of 20 requests: .* could cost"):
        short.prefetch(texts, Recorder())
    assert not script.batches and not script.asked
    enough = asking(script, budget={**priced, "usd": most / 1e12})
    enough.prefetch(texts, Recorder())
    enough.score(texts)
    assert enough.usage.usd == pytest.approx(0.10, abs=1e-12) and enough.usage.requests == 20
    # What the batch did not take is there for others, at the price of a single request.
    left = int((most / 1e12 - 0.10 - 2 * most / 20 / 1e12) // 0.01) + 1
    with pytest.raises(BudgetSpent):
        enough.score([f"fly {number:02}" for number in range(20, 99)])
    assert len(script.asked) == left


def test_a_batch_that_the_service_refuses_is_an_error_and_forgotten(script: Script) -> None:
    script.final = "failed"
    with pytest.raises(ProviderError, match=r"refuses the batch batch-1 .Enqueued token limit reached"):
        asking(script).prefetch(TEXTS, Recorder())
    script.final = "expired"
    model = asking(script)
    model.prefetch(TEXTS, Recorder())
    assert len(script.batches) == 2 and decided(model, TEXTS) == ["flight", "fare", "meal"], "what came in time counts"


@BOTH
def test_a_batch_whose_creation_is_not_answered_is_not_sent_again(script: Script, name: str) -> None:
    script.batches_lost = 1
    with pytest.raises(ProviderError):
        asking(script, name, retries=3).prefetch(TEXTS, Recorder())
    assert len(script.batches) == 1


def test_a_service_without_batches(script: Script) -> None:
    with pytest.raises(ProviderError, match="provider systemone takes no batches; leave out --batch"):
        scorer(script, name="systemone", key="", cache=True).prefetch(TEXTS, Recorder())
    with pytest.raises(ProviderError, match=r"takes no batches, or does not know this one.*leave out --batch"):
        asking(script, base_url=f"{script.url}/nothing-here").prefetch(TEXTS, Recorder())
    with pytest.raises(ProviderError, match=r"provider\.cache = false"):
        asking(script, cache=False).prefetch(TEXTS, Recorder())
    with pytest.raises(ProviderError, match="asks no service"):
        Classifier.open("atis").prefetch(TEXTS)


def priced_bundle(script: Script, table: Path, place: Path, **budget: float) -> Bundle:
    service = {"provider": {"model": "m", "base_url": script.url, "retries": 0}, "budget": {**prices(script), **budget}}
    bundle = train(parse_recipe(recipe(script, table, **service)), place)
    assert bundle is not None
    script.asked.clear()
    return bundle


def waited(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)


def test_after_ctrl_c_the_same_command_asks_for_the_batch_that_is_running(
    script: Script, table: Path, tmp_path: Path
) -> None:
    bundle, texts, out = priced_bundle(script, table, tmp_path / "bundle"), tmp_path / "in.txt", tmp_path / "out.csv"
    texts.write_text("fly one\ncost two\nfood three\n", "utf-8")
    words = [sys.executable, "-m", "purport", "predict", str(bundle.path), "-i", str(texts), "-o", str(out), "--batch"]
    script.polls = 10**6
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env={**os.environ}) as command:
        waited(lambda: bool(script.batches) and script.batches[0].polled > 1)
        command.send_signal(signal.SIGINT)
        said = command.stderr.read() if command.stderr else ""
        assert command.wait(30) == 130 and "the same command asks for the results" in said, said
    assert not out.exists()
    kept = (tmp_path / "cache/purport/llm/replies.sqlite").read_bytes() + b"".join(
        file.read_bytes() for file in (tmp_path / "cache/purport/llm").glob("replies.sqlite-*")
    )
    assert b"batch-1" in kept and b"food three" not in kept and b"sk-test" not in kept
    script.polls = 1
    done = CliRunner().invoke(app, words[3:])
    assert done.exit_code == 0, done.output
    assert len(script.batches) == 1 and not script.asked and "fare" in out.read_text("utf-8")
    assert "cost: 0.0300 US dollars" in done.output, "six requests at half a cent, counted by who took them"
    again = CliRunner().invoke(app, words[3:])
    assert "requests to services: 0 (answers from the cache: 6)" in again.output and len(script.batches) == 1


def test_ctrl_c_while_a_batch_is_being_sent_loses_no_batch(script: Script, table: Path, tmp_path: Path) -> None:
    bundle, texts, out = priced_bundle(script, table, tmp_path / "bundle"), tmp_path / "in.txt", tmp_path / "out.csv"
    texts.write_text("fly one\ncost two\n", "utf-8")
    words = [sys.executable, "-m", "purport", "predict", str(bundle.path), "-i", str(texts), "-o", str(out), "--batch"]
    script.latency_s = 2.0
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, env={**os.environ}) as command:
        waited(lambda: bool(script.batches))
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 130
    script.latency_s = 0
    done = CliRunner().invoke(app, words[3:])
    assert done.exit_code == 0 and len(script.batches) == 1, done.output


def test_two_that_wait_for_the_same_batch_count_it_once(script: Script) -> None:
    script.polls = 4
    models = [asking(script, budget=prices(script)) for _ in range(2)]

    def work(model: LlmScorer) -> list[str | None]:
        # Once the first has asked about its batch, the cache has it.
        waited(lambda: model is models[0] or (bool(script.batches) and script.batches[0].polled > 0))
        model.prefetch(TEXTS, Recorder())
        return decided(model, TEXTS)

    with ThreadPoolExecutor(2) as both:
        assert [*both.map(work, models)] == [["flight", "fare", "meal"]] * 2
    assert len(script.batches) == 1 and not script.asked
    assert sum(each.usage.usd for each in models) == pytest.approx(0.015)
    assert sorted(each.usage.from_cache for each in models) == [0, 3]


def test_what_is_too_much_for_one_batch_is_several(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher, "_MOST_REQUESTS", 2)
    model = asking(script)
    model.prefetch(TEXTS, Recorder())
    assert [len(each.given) for each in script.batches] == [2, 1] and decided(model, TEXTS) == [
        "flight",
        "fare",
        "meal",
    ]


def test_labelling_in_a_batch(script: Script, table: Path, tmp_path: Path) -> None:
    bundle, texts = priced_bundle(script, table, tmp_path / "bundle"), tmp_path / "in.csv"
    texts.write_text("text\nfly one\ncost two\nfood three\nfly one\n", "utf-8")
    words = ["label", str(texts), "--with", str(bundle.path), "-o", str(tmp_path / "labels.csv"), "--batch"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert len(script.batches) == 1 and len(script.batches[0].given) == 6 and not script.asked
    assert "cost: 0.0300 US dollars" in done.output and "│ 0.0300" in done.output
    done = CliRunner().invoke(app, ["predict", str(bundle.path), "a text", "--batch"])
    assert done.exit_code != 0 and "--batch needs --input" in str(done.exception)
    more = CliRunner().invoke(app, [*words, "--resume"])
    assert more.exit_code == 0 and len(script.batches) == 1


def test_texts_that_came_later_are_a_batch_of_their_own(script: Script, table: Path, tmp_path: Path) -> None:
    bundle, given, made = priced_bundle(script, table, tmp_path / "bundle"), tmp_path / "in.txt", tmp_path / "out.csv"
    for texts in ("fly one\ncost two\n", "fly one\ncost two\nfood three\n"):
        given.write_text(texts, "utf-8")
        classifier = Classifier.open(bundle)
        prefetch_file(classifier, given)
        predict_file(classifier, given, made)
    sent = [[json.loads(line["body"]["messages"][1]["content"]) for line in each.given] for each in script.batches]
    assert [sorted({*each}) for each in sent] == [["cost two", "fly one"], ["food three"]]
