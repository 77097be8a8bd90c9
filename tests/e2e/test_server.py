"""What keeps a server up: batches, workers that die, models that change, clients that leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from purport import Bundle, Classifier, Client
from purport.errors import ServerError

from .conftest import Server, Starter, until

Make = Callable[..., Path]
KEY = {"Authorization": "Bearer boss"}


def intent(server: Server, text: str, **options: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/intent", json={"text": text}, timeout=20, **options)


def best(server: Server, text: str = "hello") -> str:
    label: str = intent(server, text).json()["intents"][0]["label"]
    return label


def classify(server: Server, body: dict[str, Any], **options: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/classify", json=body, timeout=20, **options)


@contextmanager
def load(server: Server, clients: int = 4) -> Iterator[list[int]]:
    """Statuses of requests that ``clients`` make without a pause while the block runs."""
    statuses: list[int] = []
    stop = threading.Event()

    def client(number: int) -> None:
        with httpx.Client() as http:
            count = 0
            while not stop.is_set():
                count += 1
                answer = http.post(f"{server.url}/intent", json={"text": f"client {number} says {count}"})
                statuses.append(answer.status_code)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_classify_answers_as_the_classifier_does_each_text_alone(start: Starter, encoder_bundle: Bundle) -> None:
    texts = [f"Where is parcel {number}? {'Please. ' * (number % 7)}" for number in range(300)]
    expected = Classifier.open(encoder_bundle).predict(texts)
    with start(encoder_bundle.path) as server:
        found = classify(server, {"texts": texts, "top_k": 2, "probabilities": True}).json()
    assert found["bundle"] == encoder_bundle.manifest.id and found["model"] == encoder_bundle.path.name
    for result, prediction in zip(found["results"], expected, strict=True):
        assert (result["labels"], result["out_of_scope"]) == (list(prediction.labels), prediction.out_of_scope)
        assert result["truncated"] == prediction.truncated
        assert [each["label"] for each in result["intents"]] == [each.label for each in prediction.top(2)]
        proba = {each.label: pytest.approx(each.confidence, abs=2e-6) for each in prediction.ranked}
        assert result["probabilities"] == proba


def test_classify_takes_a_threshold_and_no_intents(server: Server, linear_bundle: Bundle) -> None:
    everything = classify(server, {"texts": ["Where is my parcel?"], "threshold": 0, "top_k": 0}).json()["results"][0]
    assert set(everything["labels"]) == set(linear_bundle.labels.names) and everything["intents"] == []
    nothing = classify(server, {"texts": ["Where is my parcel?"], "threshold": 1}).json()["results"][0]
    assert nothing["labels"] == [] and nothing["out_of_scope"] is True


def test_each_text_of_a_request_fails_alone(start: Starter, scripted: Make) -> None:
    with start(scripted()) as server:
        results = classify(server, {"texts": ["a", "fail", 5, "", "b", None]}).json()["results"]
    labels = [result.get("error", {}).get("label") for result in results]
    assert labels == [None, "INTERNAL_ERROR", "TEXT_INVALID", "TEXT_EMPTY", None, "TEXT_INVALID"]
    assert results[0]["labels"] == results[4]["labels"] == ["one"]
    assert "inner secret" not in json.dumps(results)


@pytest.mark.parametrize(
    ("body", "label"),
    [
        ({}, "TEXTS_INVALID"),
        ({"texts": "hello"}, "TEXTS_INVALID"),
        ({"texts": []}, "TEXTS_INVALID"),
        ({"texts": ["x"] * 1025}, "TEXTS_INVALID"),
        ({"texts": ["x"], "top_k": -1}, "OPTION_INVALID"),
        ({"texts": ["x"], "top_k": "3"}, "OPTION_INVALID"),
        ({"texts": ["x"], "threshold": 2}, "OPTION_INVALID"),
        ({"texts": ["x"], "probabilities": 1}, "OPTION_INVALID"),
    ],
)
def test_a_classify_request_that_cannot_be_answered(server: Server, body: dict[str, Any], label: str) -> None:
    response = classify(server, body)
    assert (response.status_code, response.json()["label"]) == (400, label)


def test_a_stream_is_answered_line_by_line_while_it_is_sent(start: Starter, scripted: Make) -> None:
    with start(scripted()) as server, socket.create_connection(server.address, timeout=10) as connection:
        connection.sendall(
            b"POST /v1/classify?top_k=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        received = b""

        def send(chunk: bytes) -> None:
            connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))

        send(b'{"text": "first"}\n')
        while b'"intents"' not in received:
            received += connection.recv(4096)
        send(b'\n{"text": "fail"}\nnonsense\n{"te')
        send(b'xt": "last"}')
        connection.sendall(b"0\r\n\r\n")
        while chunk := connection.recv(4096):
            received += chunk
    answers = [json.loads(line) for line in re.findall(rb"^\{.*\}$", received.replace(b"\r", b""), re.M)]
    assert [answer.get("labels") for answer in answers] == [["one"], None, None, ["one"]]
    assert [answer["error"]["label"] for answer in answers[1:3]] == ["INTERNAL_ERROR", "BODY_INVALID"]
    assert len(answers[0]["intents"]) == 1


def test_an_answer_is_one_packet_and_the_head_of_a_stream_waits_for_nothing(server: Server) -> None:
    with socket.create_connection(server.address, timeout=10) as connection:
        for number in range(20):
            body = json.dumps({"text": f"where is my parcel {number}"}).encode()
            connection.sendall(
                b"POST /intent HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            head, found, answer = connection.recv(65_536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200") and found
            assert b"content-length: %d" % len(answer) in head.lower() and json.loads(answer)["intents"]
        connection.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")  # before there is a line to answer


def test_a_stream_of_many_texts_keeps_their_order(server: Server, linear_bundle: Bundle, sample: Any) -> None:
    texts = list(sample["test"].texts) * 10
    expected = [list(each.labels) for each in Classifier.open(linear_bundle).predict(texts)]
    body = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    kind = {"Content-Type": "application/x-ndjson"}
    response = httpx.post(f"{server.url}/v1/classify", content=body, headers=kind, timeout=60)
    assert [json.loads(line)["labels"] for line in response.text.splitlines()] == expected


def test_the_cache_answers_texts_that_come_again_and_can_be_off(start: Starter, scripted: Make) -> None:
    for size, hits in (("2", 3), ("0", 0)):
        with start(scripted(), PURPORT_CACHE=size) as server:
            for text in ("a", "a", "b", "a", "b", "c", "a"):  # the last one was pushed out by b and c
                assert best(server, text) == "one"
            assert server.metric("purport_cache_hits_total") == hits


def test_a_worker_that_is_killed_costs_no_answer_and_comes_back(start: Starter, scripted: Make) -> None:
    with start(scripted(), PURPORT_WORKERS="2", PURPORT_CACHE="0") as server:
        before = server.workers()
        with load(server) as statuses:
            until(lambda: len(statuses) > 20)
            os.kill(before[0], signal.SIGKILL)
            took = until(lambda: before[0] not in server.workers() and len(server.workers()) == 2)
            asked = len(statuses)
            until(lambda: len(statuses) > asked + 20)
        assert took < 5 and set(statuses) == {200}
        assert server.metric("purport_worker_restarts") == 1
        assert httpx.get(f"{server.url}/ready").status_code == 200


def test_a_worker_does_its_work_in_one_thread(start: Starter, encoder_bundle: Bundle) -> None:
    def run_ns(worker: int) -> Counter[str]:
        threads = Path(f"/proc/{worker}/task").iterdir()
        return Counter({thread.name: int((thread / "schedstat").read_text().split()[0]) for thread in threads})

    texts = [f"Where is parcel {number}?" for number in range(500)]
    with start(encoder_bundle.path, PURPORT_WORKERS="1") as server:
        [worker] = server.workers()
        before = run_ns(worker)
        assert len(classify(server, {"texts": texts}).json()["results"]) == len(texts)
        spent = run_ns(worker) - before
    assert spent[str(worker)] > 0.9 * spent.total() > 0


def test_a_text_that_kills_workers_is_given_up_and_the_others_are_answered(start: Starter, scripted: Make) -> None:
    with start(scripted(), PURPORT_WORKERS="2", PURPORT_CACHE="0") as server, ThreadPoolExecutor(4) as pool:
        until(lambda: server.metric("purport_workers") == 2)  # it is ready with the first
        killer = pool.submit(intent, server, "die")
        others = [pool.submit(intent, server, f"hello {number}") for number in range(20)]
        assert killer.result().status_code == 500
        assert {each.result().status_code for each in others} == {200}
        until(lambda: len(server.workers()) == 2)
        results = classify(server, {"texts": ["a", "b", "die", "c"]}).json()["results"]
        assert [result.get("labels") for result in results] == [["one"], ["one"], None, ["one"]], "its neighbours too"


def test_a_rollback_to_what_no_worker_has_any_more_is_refused(start: Starter, scripted: Make, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    scripted("one", target=target)
    with (
        start(f"main={target}", PURPORT_WORKERS="1", PURPORT_API_KEYS="boss@intent@classify@models") as server,
        Client(server.url, api_key="boss") as boss,
    ):
        scripted("two", target=target)
        boss.put_model("main")
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: httpx.get(f"{server.url}/ready").status_code == 423)
        until(lambda: httpx.get(f"{server.url}/ready").status_code == 200)
        with pytest.raises(ServerError, match="NOTHING_BEFORE"):
            boss.roll_back("main")
        assert boss.intent("hello")[0].label == "two"


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: boss\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    "request_",
    [
        post("/intent", b'{"text": "slow"}'),
        post("/v1/classify", b'{"texts": ["slow"]}'),
        b"GET /v1/spell?text=slow HTTP/1.1\r\nHost: x\r\nX-API-Key: boss\r\n\r\n",
    ],
    ids=["intent", "classify", "third-party"],
)
def test_a_client_that_leaves_is_not_waited_for_on_any_route(start: Starter, scripted: Make, request_: bytes) -> None:
    keys = {"PURPORT_WORKERS": "1", "PURPORT_CACHE": "0", "PURPORT_API_KEYS": "boss@intent@classify@spell"}
    with start(scripted(), **keys) as server, ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(intent, server, "slow 3", headers=KEY)
        until(lambda: server.given() == 1)
        gone = [socket.create_connection(server.address) for _ in range(20)]
        for connection in gone:
            connection.sendall(request_)
        until(lambda: server.metric("purport_queue_texts") == 20)
        for connection in gone:
            connection.close()
        started = time.monotonic()
        assert intent(server, "hello", headers=KEY).json()["intents"][0]["label"] == "one"
        assert time.monotonic() - started < 7, "20 texts of 0.4 s that nobody waits for were answered all the same"
        assert under_way.result().status_code == 200
        path = request_.split()[1].decode().partition("?")[0]
        until(lambda: server.metric(f'purport_requests_total{{path="{path}",status="499"}}') == 20)


def test_a_swap_drops_no_request_and_can_be_taken_back(start: Starter, scripted: Make) -> None:
    one, two, three = (scripted(label) for label in ("one", "two", "three"))
    with start(
        f"main={one}", PURPORT_API_KEYS="boss@intent@classify@models,clerk@intent@classify", PURPORT_CACHE="100",
        PURPORT_MODELS_DIR=str(one.parent),
    ) as server:  # fmt: skip
        ask = {"headers": KEY}
        assert intent(server, "x", **ask).json()["intents"][0]["label"] == "one"
        statuses: list[int] = []
        stop = threading.Event()

        def client() -> None:
            with httpx.Client(headers=KEY) as http:
                while not stop.is_set():
                    statuses.append(http.post(f"{server.url}/intent", json={"text": f"{len(statuses)}"}).status_code)

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        with Client(server.url, api_key="boss") as boss:
            for label, bundle in (("two", two), ("three", three), ("one", one), ("two", two)):
                changed = boss.put_model("main", str(bundle))
                assert changed.bundle == Bundle.open(bundle).manifest.id
                assert boss.intent("x")[0].label == label, "not from the cache of another bundle"
            assert boss.roll_back("main").previous == Bundle.open(two).manifest.id
            assert boss.intent("x")[0].label == "one"
            with pytest.raises(ServerError, match=r"BUNDLE_INVALID: .*no bundle at"):
                boss.put_model("main", str(one.with_name("nowhere")))
            assert boss.intent("x")[0].label == "one"
        stop.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200} and len(statuses) > 50
        with Client(server.url, api_key="clerk") as clerk, pytest.raises(ServerError, match="FORBIDDEN"):
            clerk.put_model("main", str(two))


def test_several_models(start: Starter, scripted: Make) -> None:
    with start(f"a={scripted('one')}", f"b={scripted('two')}") as server, Client(server.url) as client:
        assert [model.name for model in client.models()] == ["a", "b"]
        assert best(server) == "one"
        for name, label in (("a", "one"), ("b", "two")):
            (found,) = client.classify(["hello"], model=name)
            assert not isinstance(found, ServerError) and found.labels == (label,)
        with pytest.raises(ServerError, match=r'MODEL_UNKNOWN: There is no model "c"'):
            client.classify(["hello"], model="c")
        with pytest.raises(ServerError, match=r"FORBIDDEN.*PURPORT_API_KEYS"):
            client.put_model("a", str(scripted("two")))


def test_sighup_takes_what_is_new_in_the_directory(start: Starter, scripted: Make, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    scripted("one", target=target)
    with start(target, PURPORT_CACHE="0") as server:
        assert best(server) == "one"
        scripted("two", target=target)
        assert best(server) == "one", "nothing changes by itself"
        server.process.send_signal(signal.SIGHUP)
        until(lambda: best(server) == "two")
        shutil.rmtree(target)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "not reloaded" in server.log.read_text("utf-8"))
        assert best(server) == "two"


def test_a_worker_never_answers_with_another_bundle_than_the_rest(start: Starter, scripted: Make, tmp_path: Path
) -> None:  # fmt: skip
    """The directory is overwritten, and only then a worker is started again: it must not take the new bundle."""
    target = tmp_path / "bundle"
    scripted("one", target=target)
    with start(target, PURPORT_WORKERS="2", PURPORT_CACHE="0") as server:
        until(lambda: server.metric("purport_workers") == 2)
        scripted("two", target=target)
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: "replaced by the manifest of another bundle" in server.log.read_text("utf-8"))
        assert {best(server, f"hello {number}") for number in range(20)} == {"one"}


def test_metrics_count_requests(server: Server) -> None:
    before = server.metric('purport_requests_total{path="/intent",status="400"}')
    assert intent(server, "").status_code == 400
    assert server.metric('purport_requests_total{path="/intent",status="400"}') == before + 1
    httpx.get(f"{server.url}/some/{time.time()}")
    paths = set(re.findall(r'purport_requests_total\{path="([^"]+)"', httpx.get(f"{server.url}/metrics").text))
    assert not any(path.startswith("/some") for path in paths)


def test_the_workers_end_with_the_server_however_it_ends(start: Starter, scripted: Make) -> None:
    for end in (signal.SIGTERM, signal.SIGKILL):
        with start(scripted()) as server:
            workers = server.workers()
            assert workers
            server.process.send_signal(end)
            # A server that stops when it is asked to has succeeded, so that no supervisor reports a failure.
            assert server.process.wait(timeout=20) == (0 if end == signal.SIGTERM else -signal.SIGKILL)
            until(lambda: not any(_alive(worker) for worker in workers), 5)  # noqa: B023


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_request_keeps_its_bundle_through_two_swaps_before_it_has_asked(start: Starter, scripted: Make) -> None:
    one, two, three = (scripted(label) for label in ("one", "two", "three"))
    with (
        start(
            f"main={one}",
            f"two={two}",
            f"three={three}",
            PURPORT_API_KEYS="boss@intent@classify@models",
            PURPORT_CACHE="0",
        ) as server,
        Client(server.url, api_key="boss") as boss,
        socket.create_connection(server.address, timeout=10) as connection,
    ):
        body = b'{"text": "late"}'
        head = b"POST /intent HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: boss\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body[:5])
        until(lambda: "main" in {model.name for model in boss.models()})
        time.sleep(0.2)
        for bundle in (two, three):
            boss.put_model("main", str(bundle))
        connection.sendall(body[5:])
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
        likeliest = json.loads(answer.partition(b"\r\n\r\n")[2])["intents"][0]["label"]
        assert likeliest == "one", "answered by the bundle that it came in with"


def test_an_operation_that_loses_results_fails_its_texts_and_no_worker(start: Starter, scripted: Make) -> None:
    with start(scripted(), PURPORT_WORKERS="1", PURPORT_CACHE="0", PURPORT_API_KEYS="boss@intent@spell") as server:
        spell = f"{server.url}/v1/spell"
        with ThreadPoolExecutor(4) as pool:
            blocked = pool.submit(intent, server, "slow 1", headers=KEY)
            until(lambda: server.given() == 1)
            asked = [pool.submit(httpx.get, spell, params={"text": text}, headers=KEY, timeout=20) for text in "ab"]
            lost = pool.submit(httpx.get, spell, params={"text": "lose"}, headers=KEY, timeout=20)
        assert blocked.result().status_code == 200
        assert [each.result().status_code for each in asked] == [200, 200] and lost.result().status_code == 500
        assert server.metric("purport_worker_restarts") == 0


def test_texts_whose_bodies_come_late_are_counted_too(start: Starter, scripted: Make) -> None:
    with start(scripted(), PURPORT_WORKERS="1", PURPORT_CACHE="0", PURPORT_QUEUE_LIMIT="4") as server:
        connections = [socket.create_connection(server.address, timeout=20) for _ in range(30)]
        bodies = [json.dumps({"text": f"slow 0.2 {number}"}).encode() for number in range(30)]
        for connection, body in zip(connections, bodies, strict=True):
            head = f"POST /intent HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode())
        until(lambda: server.metric("purport_queue_texts") == 0)
        for connection, body in zip(connections, bodies, strict=True):
            connection.sendall(body)
        statuses = Counter(int(connection.recv(4096).split()[1]) for connection in connections)
        for connection in connections:
            connection.close()
    assert set(statuses) == {200, 503} and statuses[200] <= 8, statuses


def test_what_goes_wrong_in_a_route_is_json_with_the_id_of_the_request(start: Starter, scripted: Make) -> None:
    with start(scripted(), PURPORT_API_KEYS="boss@spell", PURPORT_CACHE="0") as server:
        answer = httpx.get(f"{server.url}/v1/spell", params={"text": "fail"}, headers=KEY)
        assert answer.status_code == 500 and answer.json()["label"] == "INTERNAL_ERROR"
        assert answer.headers["x-request-id"] in answer.json()["message"] and "secret" not in answer.text
        assert httpx.head(f"{server.url}/openapi.json").status_code == 200


def test_many_more_requests_than_can_be_answered_are_refused_as_soon_as_their_heads_are_there(
    start: Starter, scripted: Make
) -> None:
    with start(scripted(), PURPORT_WORKERS="1", PURPORT_DEADLINE_MS="1000", PURPORT_CACHE="0") as server:
        for _ in range(60):  # until the server knows what a text takes
            assert intent(server, "slow 0.05").status_code == 200
        connections = [socket.create_connection(server.address, timeout=20) for _ in range(40)]
        for connection in connections:
            connection.sendall(post("/intent", b'{"text": "slow 0.05"}'))
        statuses = Counter(int(connection.recv(4096).split()[1]) for connection in connections)
        for connection in connections:
            connection.close()
        assert {200, 503} <= statuses.keys() <= {200, 503, 504} and statuses[200] >= 5, statuses
        log = server.log.read_text()
        assert '"event": "overloaded"' in log
        logged = [line for line in log.splitlines() if '"status": 503' in line]
        assert server.metric('purport_requests_total{path="/intent",status="503"}') == statuses[503] > len(logged)
