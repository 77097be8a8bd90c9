"""The HTTP contract, over a real socket, row by row."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from purport import Bundle, Classifier

from .conftest import Server, Starter, until

TEXT = "Where is my parcel? And please send me the invoice."


def post(server: Server, body: Any = None, **options: Any) -> httpx.Response:
    if body is not None:
        options["content"] = json.dumps(body)
    options.setdefault("headers", {"Content-Type": "application/json"})
    return httpx.post(f"{server.url}/intent", timeout=20, **options)


def is_error(response: httpx.Response, status: int, label: str) -> bool:
    found = response.json()
    assert (response.status_code, found["label"]) == (status, label), response.text
    assert set(found) == {"label", "message"} and found["message"]
    assert response.headers["content-type"] == "application/json"
    return True


def test_an_intent_is_the_top_three_by_falling_confidence(server: Server, linear_bundle: Bundle) -> None:
    response = post(server, {"text": TEXT, "unknown": {"fields": ["are", "ignored"]}})
    assert response.status_code == 200 and response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"intents"} and response.headers["purport-bundle"] == linear_bundle.manifest.id
    offline = Classifier.open(linear_bundle).predict([TEXT])[0].top(3)
    assert response.json()["intents"] == [
        {"label": scored.label, "confidence": pytest.approx(scored.confidence, abs=1e-6)} for scored in offline
    ]


def test_ready_is_text_unless_json_is_preferred(server: Server) -> None:
    plain = httpx.get(f"{server.url}/ready")
    assert (plain.status_code, plain.text) == (200, "OK") and plain.headers["content-type"].startswith("text/plain")
    for accept, expected in [
        ("application/json", '"OK"'),
        ("application/json, text/plain;q=0.5", '"OK"'),
        ("text/plain, application/json;q=0.9", "OK"),
        ("*/*", "OK"),
        ("text/html, application/*;q=0.8", '"OK"'),
    ]:
        assert httpx.get(f"{server.url}/ready", headers={"Accept": accept}).text == expected, accept


@pytest.mark.parametrize("text", ["", "   ", "\t\n", "\u2003"])
def test_an_empty_text(server: Server, text: str) -> None:
    response = post(server, {"text": text})
    assert is_error(response, 400, "TEXT_EMPTY") and response.json()["message"] == '"text" is empty.'


def test_no_text(server: Server) -> None:
    assert is_error(post(server, {"txt": "hello"}), 400, "TEXT_MISSING")


@pytest.mark.parametrize("text", [None, 5, ["hello"], {"a": 1}, True])
def test_a_text_that_is_no_string(server: Server, text: object) -> None:
    assert is_error(post(server, {"text": text}), 400, "TEXT_INVALID")


def test_a_text_with_half_a_surrogate_pair(server: Server) -> None:
    assert is_error(post(server, content=rb'{"text": "\ud800"}'), 400, "TEXT_INVALID")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"  ",
        b'{"text": NaN}',
        b"{",
        b"hello",
        b"[1]",
        b'"text"',
        b"null",
        b'{"text": "\xff"}',
        b"[" * 30_000,
        b"1" * 10_000,
    ],
)
def test_a_body_that_is_no_object(server: Server, content: bytes) -> None:
    assert is_error(post(server, content=content), 400, "BODY_INVALID")


def test_a_body_over_the_limit_declared_or_not(server: Server) -> None:
    large = b'{"text": "' + b"x" * 70_000 + b'"}'
    assert is_error(post(server, content=large), 413, "BODY_TOO_LARGE")
    chunks = (large[start : start + 5_000] for start in range(0, len(large), 5_000))
    assert is_error(post(server, content=chunks), 413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"])
def test_another_media_type(server: Server, kind: str) -> None:
    assert is_error(post(server, {"text": TEXT}, headers={"Content-Type": kind}), 415, "MEDIA_TYPE_UNSUPPORTED")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json"])
def test_json_by_any_name(server: Server, kind: str) -> None:
    assert post(server, {"text": TEXT}, headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("path", ["/intents", "/intent/", "/ready/", "/docs"])
def test_no_such_path(server: Server, path: str) -> None:
    assert is_error(httpx.get(f"{server.url}{path}"), 404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/%00", "/../x"])
def test_a_path_that_proxies_refuse(server: Server, path: str) -> None:
    assert is_error(httpx.get(f"{server.url}{path}"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path", ["/", "/ready", "/healthz", "/metrics", "/v1/models", "/v1/models/nonsense", "/openapi.json", "/intent"]
)
def test_head_is_get_without_the_body(server: Server, path: str) -> None:
    each_time = {"date", "x-request-id"} | ({"content-length"} if path == "/metrics" else set())
    with httpx.Client(timeout=20) as client:  # one connection: a body that nobody expects would be the next answer
        responses = [client.request(method, f"{server.url}{path}") for method in ("HEAD", "GET", "HEAD")]
    told = [(each.status_code, {name: value for name, value in each.headers.items() if name not in each_time})
            for each in responses]  # fmt: skip
    assert told[0] == told[1] == told[2]
    assert responses[0].content == responses[2].content == b"" != responses[1].content
    assert int(responses[0].headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/intent"), ("PUT", "/intent"), ("DELETE", "/intent"), ("POST", "/ready")]
)
def test_another_method(server: Server, method: str, path: str) -> None:
    response = httpx.request(method, f"{server.url}{path}")
    assert is_error(response, 405, "METHOD_NOT_ALLOWED") and response.headers["allow"]


def test_what_is_not_http_is_answered_in_json_too(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"NOT HTTP AT ALL\r\n\r\n")
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head and json.loads(body)["label"] == "BODY_INVALID"


def test_a_long_text_is_answered_from_its_beginning_and_says_so(start: Starter, encoder_bundle: Bundle) -> None:
    with start(str(encoder_bundle.path)) as server:
        assert "purport-truncated" not in post(server, {"text": TEXT}).headers
        assert post(server, {"text": TEXT * 50}).headers["purport-truncated"] == "true"


def test_a_request_has_an_id_and_the_log_has_no_text(server: Server) -> None:
    secret = "my password is swordfish"
    assert post(server, {"text": secret}, headers={"X-Request-Id": "abc-123"}).headers["x-request-id"] == "abc-123"
    assert len(post(server, {"text": secret}).headers["x-request-id"]) == 32
    until(lambda: "abc-123" in server.log.read_text("utf-8"))
    log = server.log.read_text("utf-8")
    assert "swordfish" not in log
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any(entry.get("path") == "/intent" and entry["status"] == 200 for entry in entries)


def test_the_openapi_document_names_every_answer(server: Server) -> None:
    """`/v1/spell` is what a third party added."""
    document = httpx.get(f"{server.url}/openapi.json").json()
    assert set(document["paths"]) == {
        "/", "/ready", "/healthz", "/metrics", "/intent", "/v1/classify", "/v1/explain",
        "/v1/systemone", "/v1/models", "/v1/models/{name}", "/v1/models/{name}/rollback", "/v1/models/{name}/examples",
        "/v1/spell",
    }  # fmt: skip
    documented = set(document["paths"]["/intent"]["post"]["responses"])
    assert documented == {"200", "400", "401", "403", "413", "415", "423", "429", "500", "503", "504"}


def test_loading_is_in_the_background(start: Starter, scripted: Callable[..., Path]) -> None:
    with start(scripted(load_s=4.0), ready=False) as server:
        waiting = httpx.get(f"{server.url}/ready")
        assert (waiting.status_code, waiting.text) == (423, "Not ready")
        assert httpx.get(f"{server.url}/ready", headers={"Accept": "application/json"}).json() == "Not ready"
        assert is_error(post(server, {"text": TEXT}), 423, "NOT_READY")
        server.wait_ready()
        assert post(server, {"text": TEXT}).status_code == 200


def test_a_model_that_cannot_be_loaded_ends_the_server(start: Starter, linear_bundle: Bundle, tmp_path: Any) -> None:
    import shutil

    shutil.copytree(linear_bundle.path, tmp_path / "bad")
    (tmp_path / "bad" / "linear.npz").write_bytes(b"")
    with start(str(tmp_path / "bad"), ready=False) as server:
        assert server.process.wait(timeout=20) == 65
        assert "linear.npz has 0 bytes" in server.log.read_text("utf-8")


def test_keys(start: Starter, linear_bundle: Bundle) -> None:
    with start(str(linear_bundle.path), PURPORT_API_KEYS="all, some@classify") as server:
        json_type = {"Content-Type": "application/json"}
        missing = post(server, {"text": TEXT})
        assert is_error(missing, 401, "UNAUTHENTICATED") and missing.headers["www-authenticate"] == "Bearer"
        wrong = post(server, {"text": TEXT}, headers=json_type | {"X-API-Key": "wrong"})
        assert is_error(wrong, 401, "UNAUTHENTICATED")
        scoped = post(server, {"text": TEXT}, headers=json_type | {"Authorization": "Bearer some"})
        assert is_error(scoped, 403, "FORBIDDEN")
        for header in ({"Authorization": "Bearer all"}, {"X-API-Key": "all"}):
            assert post(server, {"text": TEXT}, headers=json_type | header).status_code == 200


def test_the_rate_limit(start: Starter, linear_bundle: Bundle) -> None:
    with start(str(linear_bundle.path), PURPORT_RATE_LIMIT="3/minute") as server:
        assert [post(server, {"text": TEXT}).status_code for _ in range(3)] == [200] * 3
        response = post(server, {"text": TEXT})
        assert is_error(response, 429, "RATE_LIMITED") and 1 <= int(response.headers["retry-after"]) <= 60


def test_a_full_queue_and_a_passed_deadline(start: Starter, scripted: Callable[..., Path]) -> None:
    with (
        start(
            scripted(), PURPORT_QUEUE_LIMIT="3", PURPORT_DEADLINE_MS="3000", PURPORT_WORKERS="1", PURPORT_CACHE="0"
        ) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        assert post(server, {"text": "slow"}).status_code == 200
        under_way = pool.submit(post, server, {"text": "slow 60"})  # until its worker is taken for stuck
        until(lambda: server.given() == 2)
        waiting = [pool.submit(post, server, {"text": "quick"}) for _ in range(3)]
        until(lambda: server.metric("purport_queue_texts") == 3)
        overloaded = post(server, {"text": "quick"})
        assert is_error(overloaded, 503, "OVERLOADED") and int(overloaded.headers["retry-after"]) >= 1
        assert all(is_error(late.result(), 504, "DEADLINE_EXCEEDED") for late in [under_way, *waiting])
        until(lambda: post(server, {"text": "quick"}).status_code == 200)


def half_a_request(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=5)
    connection.sendall(b"POST /intent HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    return connection


def test_a_client_that_leaves_half_way_is_no_failure_of_ours(server: Server) -> None:
    half_a_request(server).close()
    until(lambda: '"status": 499' in server.log.read_text("utf-8"))
    assert "ClientDisconnect" not in server.log.read_text("utf-8")


def test_a_body_that_does_not_come_meets_the_deadline(start: Starter, linear_bundle: Bundle) -> None:
    with (
        start(str(linear_bundle.path), PURPORT_DEADLINE_MS="300") as server,
        half_a_request(server) as connection,
    ):
        assert b" 504 " in connection.recv(4096).split(b"\r\n")[0]


def test_a_port_that_is_taken_says_so(server: Server, linear_bundle: Bundle) -> None:
    port = server.url.rpartition(":")[2]
    command = [sys.executable, "-m", "purport", "serve", str(linear_bundle.path), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 78 and f"port {port}" in done.stderr and "choose another" in done.stderr


@pytest.mark.parametrize(("debug", "shown"), [("0", False), ("1", True)])
def test_an_unexpected_failure(start: Starter, scripted: Callable[..., Path], debug: str, shown: bool) -> None:
    with start(scripted(), PURPORT_DEBUG=debug) as server:
        response = post(server, {"text": "fail"})
        assert is_error(response, 500, "INTERNAL_ERROR")
        assert response.headers["x-request-id"] in response.json()["message"]
        assert ("inner secret" in response.text) is shown
        assert post(server, {"text": TEXT}).status_code == 200


def test_sigterm_drains(start: Starter, scripted: Callable[..., Path]) -> None:
    settings = {"PURPORT_DRAIN_SECONDS": "3", "PURPORT_DEADLINE_MS": "15000"}
    with start(scripted(), **settings) as server, ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(post, server, {"text": "slow 3.5"})
        until(lambda: server.given() == 1)
        ended = pool.submit(server.stop)
        until(lambda: httpx.get(f"{server.url}/ready").status_code == 423)
        assert post(server, {"text": TEXT}).status_code == 200, "what still comes is answered"
        assert under_way.result().status_code == 200
        assert ended.result() == 0
        with pytest.raises(httpx.TransportError):
            post(server, {"text": TEXT})


def test_concurrent_clients_get_their_own_answers(start: Starter, encoder_bundle: Bundle, sample: Any) -> None:
    texts = list(sample["test"].texts)
    offline = Classifier.open(encoder_bundle).predict(texts)
    wrong: list[str] = []

    def client(offset: int) -> None:
        with httpx.Client() as http:
            for index in range(offset, len(texts), 8):
                found = http.post(f"{server.url}/intent", json={"text": texts[index]}).json()["intents"]
                expected = [
                    (scored.label, pytest.approx(scored.confidence, abs=1e-5)) for scored in offline[index].top(3)
                ]
                if [(intent["label"], intent["confidence"]) for intent in found] != expected:
                    wrong.append(texts[index])

    with start(str(encoder_bundle.path)) as server:
        threads = [threading.Thread(target=client, args=(offset,)) for offset in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_the_shipped_bundle_is_the_default_and_the_process_is_small(start: Starter) -> None:
    with start("atis") as server:
        found = post(server, {"text": "find me a flight that flies from Memphis to tacoma"}).json()["intents"]
        assert found[0]["label"] == "flight" and len(found) == 3
        processes = [server.process.pid, *server.workers()]
        memory = sum(psutil.Process(process).memory_info().rss for process in processes)
        assert memory < 200 * 2**20 * len(processes), f"{memory / 2**20:.0f} MiB"
