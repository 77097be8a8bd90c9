"""The life of the server's processes: whatever happens to one, or to the reader of the log, the others go on or end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from purport import Bundle, Client

from .conftest import PLUGIN, Server, Starter, free_port, until

Make = Callable[..., Path]
DEADLINE_S = 2.0
ENVIRONMENT = {"PURPORT_DEADLINE_MS": "2000", "PURPORT_CACHE": "0"}


def intent(server: Server | str, text: str = "hello") -> httpx.Response:
    url = server if isinstance(server, str) else server.url
    return httpx.post(f"{url}/intent", json={"text": text}, timeout=20, headers={"X-API-Key": "boss"})


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def log_lines(server: Server, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.log.read_text("utf-8").splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


@pytest.fixture(scope="module")
def pair(start: Starter, scripted: Make) -> Iterator[Server]:
    """A server with two workers."""
    with start(
        f"main={scripted()}", PURPORT_WORKERS="2", PURPORT_API_KEYS="boss@intent@classify@models",
        PURPORT_MODELS_DIR=str(scripted().parent), **ENVIRONMENT,
    ) as server:  # fmt: skip
        yield server


@contextmanager
def launched(bundle: Path, *, stderr: Any, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server whose log nobody follows, and its address."""
    port = free_port()
    paths = os.pathsep.join(filter(None, [str(PLUGIN), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "purport", "serve", f"main={bundle}", "--port", str(port), "--workers", "1"],
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": paths, "PURPORT_DRAIN_SECONDS": "0.2", **ENVIRONMENT, **environment},
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def status(url: str) -> int:
    """That of ``/ready``; 0 while nobody listens."""
    try:
        return httpx.get(f"{url}/ready").status_code
    except httpx.TransportError:
        return 0


def ignores_hangups(process: int) -> bool:
    """Whether a process is past the first moments of the interpreter."""
    (mask,) = re.findall(r"SigIgn:\t(\w+)", Path(f"/proc/{process}/status").read_text())
    return bool(int(mask, 16) >> (signal.SIGHUP - 1) & 1)


def end(process: subprocess.Popen[Any], *signals: signal.Signals) -> None:
    """Ask a server to end; it has succeeded if it does."""
    for each in signals:
        process.send_signal(each)
        time.sleep(0.05)
    assert process.wait(timeout=5) == 0


def test_a_stopped_worker_costs_no_answer_and_is_replaced(pair: Server) -> None:
    until(lambda: pair.metric("purport_workers") == 2)
    for busy in (False, True):
        stopped = pair.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        began = time.monotonic()
        if busy:
            with ThreadPoolExecutor(8) as pool:
                asked = list(pool.map(lambda number: intent(pair, f"text {number}"), range(24)))
            assert {each.status_code for each in asked} == {200}, "the other worker has time to answer"
        until(lambda: not alive(stopped), 2 * DEADLINE_S - (time.monotonic() - began))  # noqa: B023
        until(lambda: pair.metric("purport_workers") == 2, 20)
    assert {line["complaint"] for line in log_lines(pair, "worker is stuck")} == {"silent"}


def test_a_text_that_hangs_costs_its_worker_and_nobody_else(pair: Server) -> None:
    until(lambda: pair.metric("purport_workers") == 2)
    before = {*pair.workers()}
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(intent, pair, "slow 1000")
        until(lambda: bool(before - {*pair.workers()}), 2 * DEADLINE_S)
        assert time.monotonic() - began > DEADLINE_S, "who is late is not stuck yet"
        assert intent(pair).status_code == 200
        assert hanging.result().status_code == 504
    until(lambda: pair.metric("purport_workers") == 2, 20)


def test_a_change_of_a_model_says_who_made_it_and_what_it_replaced(pair: Server, scripted: Make) -> None:
    one, two = (Bundle.open(scripted(best)).manifest.id for best in ("one", "two"))
    with Client(pair.url, api_key="boss") as boss:
        boss.put_model("main", str(scripted("two")))
        boss.roll_back("main")
    until(lambda: len(log_lines(pair, "model changed")) == 2)
    changes = log_lines(pair, "model changed")
    assert [(line["model"], line["bundle"], line["replaced"]) for line in changes] == [
        ("main", two, one),
        ("main", one, two),
    ]
    assert all(line["by"].startswith("key-") for line in changes) and "boss" not in pair.log.read_text()


def test_without_an_able_worker_the_server_says_423_at_once_until_one_is_back(
    start: Starter, scripted: Make, tmp_path: Path
) -> None:
    target = tmp_path / "bundle"
    scripted(target=target)
    with start(target, PURPORT_WORKERS="1", PURPORT_DEADLINE_MS="10000") as server:
        assert intent(server).status_code == 200
        target.rename(tmp_path / "gone")
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: httpx.get(f"{server.url}/ready").status_code == 423)
        assert httpx.get(f"{server.url}/healthz").text == "OK"
        for text in ("hello", "another text"):
            began = time.monotonic()
            answer = intent(server, text)
            assert (answer.status_code, answer.json()["label"]) == (423, "NOT_READY")
            assert time.monotonic() - began < 4, "it does not wait until the time limit"
        body = {"texts": ["hello"]}
        assert httpx.post(f"{server.url}/v1/classify", json=body).status_code == 423
        assert httpx.get(f"{server.url}/v1/models").status_code == 200, "what there is can be seen, and replaced"
        until(lambda: len(log_lines(server, "a worker could not load the model")) >= 2)
        (tmp_path / "gone").rename(target)
        until(lambda: intent(server).status_code == 200, 15)
        assert httpx.get(f"{server.url}/ready").status_code == 200
        waits = [line["after_s"] for line in log_lines(server, "loading the model again")]
        assert waits == [1.0, 2.0, 4.0][: len(waits)]
        end(server.process, signal.SIGINT, signal.SIGINT)
        assert "Traceback" not in server.log.read_text()


def test_a_reader_of_the_log_that_stops_reading_stops_nothing(scripted: Make) -> None:
    reading, writing = os.pipe()
    try:
        with launched(scripted(), stderr=writing) as (process, url), httpx.Client() as http:
            until(lambda: status(url) == 200, 30)
            path = "x" * 8000  # 64 KiB in the pipe, 1 MB in the process: then lines are dropped
            for _ in range(300):
                assert http.get(f"{url}/{path}").status_code == 404
            assert intent(url, "shout").status_code == 200, "nor does what a worker prints"
            assert intent(url).status_code == 200
            found = http.get(f"{url}/metrics").text
            assert float(found.partition("\npurport_log_lines_dropped ")[2].split()[0]) > 50
            end(process, signal.SIGTERM, signal.SIGTERM)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_log_on_a_full_device_keeps_no_server_from_starting_and_answering(scripted: Make) -> None:
    with Path("/dev/full").open("w") as full, launched(scripted(), stderr=full) as (process, url):
        until(lambda: status(url) == 200, 30)
        assert intent(url).status_code == 200
        end(process, signal.SIGINT)


def test_a_server_whose_model_hangs_in_its_load_ends_when_it_is_asked_to(scripted: Make, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as stream, launched(scripted(load_s=1000.0), stderr=stream) as (process, url):
        until(lambda: ignores_hangups(process.pid), 30)
        process.send_signal(signal.SIGHUP)  # before it listens
        until(lambda: status(url) == 423, 30)
        process.send_signal(signal.SIGHUP)
        end(process, signal.SIGTERM)
    assert "Traceback" not in log.read_text()


def test_a_server_that_is_killed_leaves_no_worker_whatever_that_does(pair: Server) -> None:
    """The last test of ``pair``."""
    until(lambda: pair.metric("purport_workers") == 2)
    workers = pair.workers()
    with ThreadPoolExecutor(1) as pool:
        given = pair.given()
        lost = pool.submit(intent, pair, "slow 1000")
        until(lambda: pair.given() > given)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        pair.process.kill()
        until(lambda: not any(alive(worker) for worker in workers), 5)
        with pytest.raises(httpx.TransportError):
            lost.result()
