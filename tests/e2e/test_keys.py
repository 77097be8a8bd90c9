"""Keys, limits and misspelt settings on a real server: who may ask, how much, and what nobody gets to see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from .conftest import Server, Starter

KEYS = "hunter2,0perator@classify@models"
TEXT = {"text": "flights to boston"}


def intent(server: Server, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{server.url}/intent", json=TEXT, headers=sent)


def test_a_key_may_ask_guesses_are_limited_and_no_worker_has_the_keys(start: Starter) -> None:
    with start("atis", PURPORT_API_KEYS=KEYS, PURPORT_API_KEY="hunter2", PURPORT_COLOUR="red") as server:
        assert intent(server, x_api_key="hunter2").status_code == 200
        put = httpx.put(f"{server.url}/v1/models/atis", json={}, headers={"X-API-Key": "hunter2"})
        assert put.status_code == 403 and "lacks the permission models" in put.json()["message"]
        guesses = [intent(server, x_api_key=f"guess {number}") for number in range(25)]
        assert [each.status_code for each in guesses] == [401] * 20 + [429] * 5
        assert guesses[-1].json()["label"] == "RATE_LIMITED" and int(guesses[-1].headers["retry-after"]) <= 3
        assert intent(server, x_api_key="hunter2").status_code == 200, "who asked before is not locked out"
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert children
        for child in children:
            environment = Path(f"/proc/{child.pid}/environ").read_bytes()
            assert b"PURPORT_COLOUR" in environment
            assert not any(key in environment + " ".join(child.cmdline()).encode() for key in (b"hunter2", b"0perator"))
        log = server.log.read_text("utf-8")
        assert "warning: nothing reads the variable PURPORT_COLOUR" in log
        assert not any(key in log for key in ("hunter2", "0perator", "guess"))


def test_the_command_names_its_option_for_keys(start: Starter) -> None:
    with start("atis", PURPORT_API_KEYS=KEYS) as server:
        command = [sys.executable, "-m", "purport", "classify", "--url", server.url, "hello"]
        without = {name: value for name, value in os.environ.items() if name != "PURPORT_API_KEY"}
        done = subprocess.run(command, capture_output=True, text=True, env=without)
        assert done.returncode == 69 and "; pass the right --api-key, or set PURPORT_API_KEY" in done.stderr, done
        assert subprocess.run([*command, "--api-key", "hunter2"], capture_output=True, env=without).returncode == 0


def test_a_rate_limit_counts_each_text_of_a_list_and_of_a_stream(start: Starter) -> None:
    with start("atis", PURPORT_RATE_LIMIT="10/hour") as server:
        url = f"{server.url}/v1/classify"
        assert httpx.post(url, json={"texts": ["flights"] * 11}).json()["label"] == "RATE_LIMITED"  # counts as one
        assert httpx.post(url, json={"texts": ["flights"] * 3}).status_code == 200
        lines = f"{json.dumps(TEXT)}\n" * 9
        stream = httpx.post(url, content=lines, headers={"Content-Type": "application/x-ndjson"})
        answers = [json.loads(line) for line in stream.text.splitlines()]
        assert ["labels" in each for each in answers] == [True] * 6 + [False] * 3
        assert {each["error"]["label"] for each in answers[6:]} == {"RATE_LIMITED"}
        # Nobody on this machine becomes another client by saying so.
        assert intent(server, x_forwarded_for="192.0.2.1").status_code == 429


def test_what_a_named_proxy_forwards_is_believed(start: Starter) -> None:
    with start("atis", PURPORT_RATE_LIMIT="1/hour", PURPORT_TRUSTED_PROXIES="127.0.0.0/8") as server:
        assert intent(server, x_forwarded_for="192.0.2.1").status_code == 200
        assert intent(server, x_forwarded_for="192.0.2.2").status_code == 200
        # The proxy adds the address that it sees; what stands before it came from the client.
        assert intent(server, x_forwarded_for="198.51.100.9, 192.0.2.2").status_code == 429


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PURPORT_WOKERS", "2", "Did you mean PURPORT_WORKERS?"),
        ("PURPORT_API_KEYS", ",", "api_keys: entry 1 is not complete"),
        ("PURPORT_API_KEYS", "hunter2@intent@clasify", 'Did you mean "classify"?'),
        ("PURPORT_RATE_LIMIT", "often", 'rate_limit: write, for example, "100/minute"'),
    ],
)
def test_a_setting_that_would_not_do_what_it_says_stops_the_start(
    variable: str, value: str, told: str, tmp_path: Path
) -> None:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PURPORT_")}
    done = subprocess.run(
        [sys.executable, "-m", "purport", "serve", "--port", "0"],
        env={**environment, variable: value}, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 78 and told in done.stderr
    assert "hunter2" not in done.stderr and done.stderr.count("\n") == 1
