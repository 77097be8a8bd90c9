"""The client against real sockets: answers, retries, giving up."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

from purport import AsyncClient, Bundle, Classifier, Client
from purport.errors import ServerError, SettingsError

from .conftest import Server

TEXTS = ["Where is my parcel?", "I want my money back", ""]
OK = (200, {"intents": [{"label": "a", "confidence": 0.5}]}, {})
BUSY = (503, {"label": "OVERLOADED", "message": "busy"}, {"Retry-After": "1"})


@contextmanager
def scripted_server(*answers: tuple[int, Any, dict[str, str]]) -> Iterator[tuple[str, list[float]]]:
    """A server that gives these answers, one a request, and when each request came."""
    came: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body, headers = answers[min(len(came), len(answers) - 1)]
            came.append(time.monotonic())
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", came
        finally:
            server.shutdown()
            thread.join()


def test_both_clients_answer_as_the_classifier_does(server: Server, linear_bundle: Bundle) -> None:
    expected = Classifier.open(linear_bundle).predict(TEXTS[:2])

    async def ask() -> list[Any]:
        async with AsyncClient(server.url) as client:
            assert [model.name for model in await client.models()] == ["bundle"]
            assert len(await client.intent(TEXTS[0])) == 3
            return await client.classify(TEXTS, top_k=2)

    with Client(server.url) as client:
        assert client.intent(TEXTS[0])[0].label == expected[0].ranked[0].label
        blocking = client.classify(TEXTS, top_k=2)
        assert len(client.classify(TEXTS * 700)) == 2100, "more than one request holds"
    for found in (blocking, asyncio.run(ask())):
        for answer, prediction in zip(found, expected, strict=False):
            assert (answer.labels, answer.bundle) == (prediction.labels, prediction.bundle)
            assert [each.label for each in answer.ranked] == [each.label for each in prediction.top(2)]
        assert isinstance(found[2], ServerError) and found[2].label == "TEXT_EMPTY"


def test_a_busy_server_is_asked_again_after_the_time_that_it_says() -> None:
    with scripted_server(BUSY, BUSY, OK) as (url, came), Client(url) as client:
        assert client.intent("x")[0].label == "a"
    assert len(came) == 3 and all(later - earlier >= 1 for earlier, later in pairwise(came))


def test_the_async_client_tries_again_too() -> None:
    async def ask(url: str) -> str:
        async with AsyncClient(url) as client:
            return (await client.intent("x"))[0].label

    with scripted_server(BUSY, OK) as (url, came):
        assert asyncio.run(ask(url)) == "a"
    assert len(came) == 2


def test_an_error_that_will_not_go_away_is_raised_at_once() -> None:
    with scripted_server((400, {"label": "TEXT_EMPTY", "message": '"text" is empty.'}, {})) as (url, came):
        with Client(url) as client, pytest.raises(ServerError) as caught:
            client.intent("")
        assert (caught.value.status, caught.value.label) == (400, "TEXT_EMPTY")
    assert len(came) == 1


def test_it_gives_up_after_the_retries() -> None:
    slow = (429, {"label": "RATE_LIMITED", "message": "slow"}, {})
    with (
        scripted_server(slow) as (url, came),
        Client(url, retries=2) as client,
        pytest.raises(ServerError, match="RATE_LIMITED: slow"),
    ):
        client.intent("x")
    assert len(came) == 3
    with Client("http://127.0.0.1:9", retries=1) as client, pytest.raises(ServerError, match=r"cannot reach .*:9"):
        client.intent("x")


def test_the_command_answers_arguments_and_lines(server: Server, linear_bundle: Bundle) -> None:
    command = [sys.executable, "-m", "purport", "classify", "--url", server.url, "--top-k", "1"]
    done = subprocess.run([*command, *TEXTS[:2]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    expected = Classifier.open(linear_bundle).predict(TEXTS[:2])
    assert [each["labels"] for each in found] == [list(each.labels) for each in expected]
    done = subprocess.run(
        command, input="\n".join(TEXTS[:2] * 150) + "\n \n", capture_output=True, text=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and len(lines) == 301 and "TEXT_EMPTY" in lines[-1]["error"]


MODEL = {"name": "a", "bundle": "b", "previous": None, "labels": ["x"]}
RESULT = {"labels": ["x"], "intents": [{"label": "x", "confidence": 0.5}], "out_of_scope": False, "truncated": False}


@pytest.mark.parametrize(
    "body",
    [
        b"<html>welcome</html>",
        b"[" * 100_000,
        b"\xff\xfe",
        [],
        {},
        [1],
        {"results": 3, "bundle": "b", "intents": 3},
        {"results": [RESULT], "bundle": 1, "intents": [{"label": 1, "confidence": 0.5}]},
        {"results": [RESULT, RESULT], "bundle": "b", "intents": [{"label": "x", "confidence": "high"}]},
        {"results": [{**RESULT, "labels": 5}], "bundle": "b", "intents": [{}]},
        {"results": [{"error": "no"}], "bundle": "b", "intents": [None]},
        "text",
    ],
)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_what_another_server_answers_is_an_error_with_a_remedy(body: Any, status: int) -> None:
    with scripted_server((status, body, {})) as (url, _), Client(url) as client:
        for ask in (lambda: client.classify(["hello"]), lambda: client.intent("hello"), lambda: client.put_model("a")):
            with pytest.raises(ServerError, match="check the address"):
                ask()


@pytest.mark.parametrize(
    ("url", "environment", "key"),
    [
        ("http://127.0.0.1:1", {"ALL_PROXY": "socks5://127.0.0.1:1"}, None),
        ("http://127.0.0.1:1", {"HTTP_PROXY": "gopher://x"}, None),
        ("http://[::1", {}, None),
        ("http://127.0.0.1:1", {}, "schlüssel"),
    ],
)
def test_an_address_a_proxy_or_a_key_that_cannot_be_used_says_so(
    url: str, environment: dict[str, str], key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"correct the address, or the proxy|check that it was copied"):
        Client(url, api_key=key)


@pytest.mark.parametrize("url", ["localhost:8123", "intents", "127.0.0.1:8000/"])
def test_an_address_without_a_scheme_says_what_to_add(url: str) -> None:
    with pytest.raises(SettingsError, match=f"has no scheme; write http://{url.rstrip('/')} "):
        Client(url)
