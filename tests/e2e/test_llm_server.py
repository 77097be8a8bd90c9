"""A bundle that asks a language model's service, behind the server: many wait at once, and nobody waits for them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from purport import Classifier
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

from ..unit.scripted_llm import Script, serving
from .conftest import Server, Starter, until

pytestmark = pytest.mark.slow
SERVICE_S = 1.0
KEY = "sk-test-of-the-server"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Script]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(Script()) as running:
        yield running


@pytest.fixture
def bundle(script: Script, tmp_path: Path) -> Path:
    return made(script, tmp_path, {"input_price": 2, "output_price": 8})


def made(script: Script, tmp_path: Path, budget: dict[str, float], **service: object) -> Path:
    """A bundle with this budget."""
    tmp_path.mkdir(exist_ok=True)
    table = tmp_path / "table.tsv"
    rows = [f"{text} {n}\t{label}" for n in range(8) for text, label in [("fly", "flight"), ("cost", "fare")]]
    table.write_text("\n".join(rows), "utf-8")
    recipe = {
        "kind": "llm", "task": "multiclass", "data": {"name": str(table), "valid": 0.5}, "prompt": {"votes": 1},
        "provider": {"model": "m", "base_url": script.url, "concurrency": 128, "cache": False, "retries": 0, **service},
        "budget": budget,
    }  # fmt: skip
    train(parse_recipe(recipe), tmp_path / "llm")
    script.asked.clear()
    return tmp_path / "llm"


async def ask(client: httpx.AsyncClient, url: str, body: object) -> tuple[float, httpx.Response]:
    began = time.perf_counter()
    response = await client.post(url, json=body)
    return time.perf_counter() - began, response


async def crowd(server: Server, clients: int) -> tuple[list[tuple[float, httpx.Response]], list[float]]:
    """What so many clients of the one model get, and what one of the other waits meanwhile."""
    limits = httpx.Limits(max_connections=clients + 8)
    async with httpx.AsyncClient(timeout=20, limits=limits) as client, httpx.AsyncClient(timeout=20) as other:
        await asyncio.gather(*(other.get(f"{server.url}/ready") for _ in range(2)))
        many = asyncio.gather(*(ask(client, f"{server.url}/intent", {"text": f"fly {n}"}) for n in range(clients)))
        waits = []
        while not many.done():
            body = {"texts": [f"flights to boston {len(waits)}"], "model": "atis"}
            waits.append((await ask(other, f"{server.url}/v1/classify", body))[0])
            await asyncio.sleep(0.01)
        return await many, waits


def test_many_clients_wait_for_the_service_together_and_others_for_none_of_them(
    start: Starter, bundle: Path, script: Script
) -> None:
    script.latency_s = SERVICE_S
    with start(f"llm={bundle}", "atis", PURPORT_WORKERS="1") as server:
        asyncio.run(crowd(server, 4))  # connections are made
        answers, waits = asyncio.run(crowd(server, 40))
        text = httpx.get(f"{server.url}/metrics").text
        spent = {name: float(value) for name, value in re.findall(r"^(purport_service_\w+)\{.*?\} (\S+)$", text, re.M)}
    assert {response.status_code for _, response in answers} == {200}
    assert all(response.json()["intents"][0]["label"] == "flight" for _, response in answers)
    seconds = [each for each, _ in answers]
    assert statistics.median(seconds) < 10 * SERVICE_S, "one after the other, the median would be twenty times that"
    assert statistics.median(waits) < SERVICE_S / 3
    assert len(script.asked) == 44, "a warm-up would cost money"
    assert spent["purport_service_requests_total"] == 44
    assert spent["purport_service_cost_dollars_total"] == pytest.approx(44 * (100 * 2 + 10 * 8) / 1e6)


def test_what_the_service_spoils_is_an_error_of_that_text_alone(start: Starter, bundle: Path, script: Script) -> None:
    with start(f"llm={bundle}", PURPORT_WORKERS="1") as server:
        script.faults.append((401, {"error": {"message": f"wrong key {KEY}"}}))
        texts = ["fly 1", "fly 2", "cost 3"]
        found = httpx.post(f"{server.url}/v1/classify", json={"texts": texts}, timeout=20).json()
        assert sum("intents" in json.dumps(each) for each in found["results"]) == 2, found
        assert httpx.post(f"{server.url}/intent", json={"text": "fly 4"}, timeout=20).status_code == 200
        until(lambda: "check the key" in server.log.read_text("utf-8"))
        assert KEY not in server.log.read_text("utf-8")


A_CENT = {"input_price": 50.0, "output_price": 500.0}  # for each request, of 100 and 10 tokens


def most_cents(bundle: Path) -> float:
    """What a request about a text of six characters can cost at most."""
    scorer = Classifier.open(bundle).model.scorer  # type: ignore[attr-defined]
    return float(scorer.asker._budget.bound(scorer._prompt.request("fly 00")).money) / 1e10


def statuses(server: Server, number: int) -> list[int]:
    async def test() -> list[int]:
        async with httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=64)) as client:
            bodies = [{"text": f"fly {n:02}"} for n in range(number)]
            found = await asyncio.gather(*(ask(client, f"{server.url}/intent", body) for body in bodies))
            return [response.status_code for _, response in found]

    return asyncio.run(test())


def test_the_budget_is_that_of_the_whole_server_to_the_cent(start: Starter, script: Script, tmp_path: Path) -> None:
    most = most_cents(made(script, tmp_path / "probe", {**A_CENT, "usd": 100.0}))
    bundle = made(script, tmp_path, {**A_CENT, "usd": (20 + most) / 100})
    script.latency_s = 0.02
    with start(f"llm={bundle}", PURPORT_WORKERS="2", PURPORT_CACHE="0", PURPORT_DEADLINE_MS="20000") as server:
        until(lambda: len(server.workers()) == 2)
        found = statuses(server, 60)
        assert found.count(200) == 21 and len(script.asked) == 21, "each worker alone would have asked as often"
        # Workers that are started again do not begin anew.
        before = server.workers()
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        until(lambda: len(server.workers()) == 2 and not {*before} & {*server.workers()})
        until(lambda: httpx.get(f"{server.url}/ready").status_code == 200)
        assert 200 not in statuses(server, 8) and len(script.asked) == 21
        assert "the budget of this run" in server.log.read_text("utf-8")
    with start(f"llm={bundle}", PURPORT_WORKERS="2", PURPORT_CACHE="0") as server:
        assert statuses(server, 1) == [200], "another server is another run"


def test_what_a_worker_held_that_dies_is_spent(start: Starter, script: Script, tmp_path: Path) -> None:
    most = most_cents(made(script, tmp_path / "probe", {**A_CENT, "usd": 100.0}))
    bundle = made(script, tmp_path, {**A_CENT, "usd": (20 + 1.5 * most) / 100}, timeout_s=60)
    with start(f"llm={bundle}", PURPORT_WORKERS="1", PURPORT_CACHE="0", PURPORT_DEADLINE_MS="20000") as server:
        script.latency_s = 15
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/intent", json={"text": "fly 00"}, timeout=1)
        until(lambda: len(script.asked) == 1)
        script.latency_s, before = 0, server.workers()
        os.kill(before[0], signal.SIGKILL)
        until(lambda: bool(server.workers()) and server.workers() != before)
        until(lambda: httpx.get(f"{server.url}/ready").status_code == 200)
        # The request may have been billed: of the budget, 20 cents and half of what it can cost are left.
        assert statuses(server, 40).count(200) == int(20 - most / 2) + 1
