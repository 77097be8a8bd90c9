"""``POST /v1/explain`` over a real socket: the same as in the library, with the contract's errors."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest
from serving.attacks import Peer, request

from purport import Bundle, Classifier, Client
from purport.errors import ServerError
from purport.explaining.explanation import encode

from .conftest import Server, Starter, until

TEXT = "Where is my parcel? And please send me the invoice."


def explain(server: Server, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/explain", json=body, headers=headers, timeout=20)


@pytest.mark.parametrize("method", [None, "occlusion", "shapley", "contributions"])
def test_the_server_explains_as_the_library_does(server: Server, linear_bundle: Bundle, method: str | None) -> None:
    classifier = Classifier.open(linear_bundle, threads=1)
    label = classifier.labels.names[1]
    answer = explain(server, {"text": TEXT, "label": label, "method": method})
    assert answer.status_code == 200, answer.text
    sent = answer.json()
    assert (sent.pop("model"), sent.pop("bundle")) == ("bundle", linear_bundle.manifest.id)
    assert sent == encode(classifier.explain(TEXT, label=label, method=method))


def test_the_client_explains(server: Server) -> None:
    with Client(server.url) as client:
        found = client.explain(TEXT, method="shapley", calls=64, examples=1)
        assert found.calls <= 64 and len(found.examples.favour) == 1 and found.words[0].text == "Where"
        with pytest.raises(ServerError, match="NOT_EXPLAINED"):
            client.explain(TEXT, label="nothing")


@pytest.mark.parametrize(
    ("body", "status", "label"),
    [
        ({}, 400, "TEXT_MISSING"),
        ({"text": " "}, 400, "TEXT_EMPTY"),
        ({"text": 5}, 400, "TEXT_INVALID"),
        ({"text": "a" * 20_000}, 400, "TEXT_INVALID"),
        ({"text": "x", "calls": 1}, 400, "OPTION_INVALID"),
        ({"text": "x", "lable": "y"}, 400, "OPTION_INVALID"),
        ({"text": "x", "label": "y"}, 409, "NOT_EXPLAINED"),
        ({"text": "x", "method": "oclusion"}, 409, "NOT_EXPLAINED"),
        ({"text": "x", "method": "integrated_gradients"}, 409, "NOT_EXPLAINED"),
        ({"text": "x", "model": "none"}, 404, "MODEL_UNKNOWN"),
        ([], 400, "BODY_INVALID"),
    ],
)
def test_bad_input(server: Server, body: Any, status: int, label: str) -> None:
    answer = explain(server, body)
    assert (answer.status_code, answer.json()["label"]) == (status, label) and answer.json()["message"]


def test_a_message_ends_with_one_full_stop(server: Server) -> None:
    said = explain(server, {"text": "x", "method": "unlike anything"}).json()["message"]
    assert said.startswith("Unknown method of explaining") and said.endswith("shapley."), said


def test_explaining_needs_the_permission_to_classify_and_counts_as_the_texts_it_asks(
    start: Starter, linear_bundle: Bundle
) -> None:
    with start(linear_bundle.path, PURPORT_API_KEYS="clerk@intent,boss", PURPORT_RATE_LIMIT="40/minute") as server:
        assert explain(server, {"text": TEXT}).status_code == 401
        assert explain(server, {"text": TEXT}, Authorization="Bearer clerk").status_code == 403
        asked = {"text": TEXT, "method": "occlusion"}
        answers = [explain(server, asked, Authorization="Bearer boss").status_code for _ in range(3)]
        assert answers[0] == 200 and answers[-1] == 429


def test_short_texts_are_answered_between_the_parts_of_an_explanation(start: Starter) -> None:
    """An explanation was one piece of work for the only worker, of up to half the time limit: others got 503."""
    asked = {"text": "show me flights from boston to denver and the cheapest fares please", "method": "shapley"}
    with start("atis", PURPORT_WORKERS="1", PURPORT_CACHE="0") as server, ThreadPoolExecutor(2) as pool:
        explaining = [pool.submit(explain, server, asked | {"text": f"{asked['text']} {n}"}) for n in range(2)]
        said = []
        with httpx.Client(base_url=server.url, timeout=20) as client:
            while not all(each.done() for each in explaining):
                said.append(client.post("/intent", json={"text": f"flight {len(said)}"}).status_code)
        assert {each.result().status_code for each in explaining} == {200}
    assert len(said) > 5 and set(said) == {200}


def test_a_client_that_leaves_its_explanation_has_cost_few_texts(start: Starter) -> None:
    """All 400 texts were queued at once, and a batch of them for each worker was answered for nobody."""
    asked = {"text": "show me flights from boston to denver and the cheapest fares please", "method": "shapley"}
    with start("atis", PURPORT_WORKERS="1", PURPORT_CACHE="0") as server:
        assert explain(server, asked).status_code == 200
        texts = [server.metric("purport_batch_texts_sum")]
        for number in range(20):
            peer = Peer(server.address)
            peer.send(request("/v1/explain", json.dumps(asked | {"text": f"{asked['text']} {number}"}).encode()))
            peer.close()
            time.sleep(0.1)
            texts.append(server.metric("purport_batch_texts_sum"))
        # Of a client that leaves late, because the machine is busy, more texts are asked.
        assert statistics.median(after - before for before, after in pairwise(texts)) <= 20
        assert explain(server, asked).status_code == 200


def test_explanations_of_one_client_leave_room_for_the_lists_of_others(start: Starter) -> None:
    """Their texts were not counted when they were admitted: a thousand such requests filled the places of all."""
    asked = {"text": "show me flights from boston to denver and the cheapest fares please", "method": "shapley"}
    texts = [f"flight {number}" for number in range(20)]
    with start("atis", PURPORT_WORKERS="1", PURPORT_CACHE="0") as server:
        peers = [Peer(server.address, source="127.0.0.2") for _ in range(700)]
        assert explain(server, asked).status_code == 200
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)  # a fast one would keep the queue short
        for number, peer in enumerate(peers):
            peer.send(request("/v1/explain", json.dumps(asked | {"text": f"{asked['text']} {number}"}).encode()))
        with ThreadPoolExecutor(1) as pool:
            until(lambda: server.metric("purport_queue_texts") > 200)
            other = pool.submit(httpx.post, f"{server.url}/v1/classify", json={"texts": texts}, timeout=20)
            waiting = max(server.metric("purport_queue_texts") for _ in range(20))
            os.kill(worker, signal.SIGCONT)
            answer = other.result()
        for peer in peers:
            peer.close()
    assert answer.status_code == 200, answer.text
    assert waiting <= 4_200, "one client has half of the 8,192 places"


def test_the_command_prints_what_the_library_finds(linear_bundle: Bundle) -> None:
    command = [sys.executable, "-m", "purport", "explain", str(linear_bundle.path), TEXT, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found.pop("bundle") == linear_bundle.manifest.id
    assert found == json.loads(json.dumps(encode(Classifier.open(linear_bundle, threads=1).explain(TEXT))))
    done = subprocess.run([*command[:-2], "--method", "shapely"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and 'Did you mean "shapley"?' in done.stderr
