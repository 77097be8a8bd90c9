"""Log lines of the server, whoever reads them or does not; and what it does not look through again and again."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purport.serving.collection import freeze_gc
from purport.serving.logs import RequestLog
from purport.serving.stderr import PatientStream, patient_stderr
from purport.settings import ServerSettings

LINE = "x" * 99 + "\n"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """The end that a test reads, and the one that is written."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        yield reading, stream
    os.close(reading)


def read(descriptor: int, lines: int) -> list[str]:
    found = b""
    while found.count(b"\n") < lines:
        found += os.read(descriptor, 65536)
    return found.decode().splitlines()


def test_lines_are_written_in_order_and_what_is_left_at_the_end_too(pipe: tuple[int, io.TextIOWrapper]) -> None:
    reading, stream = pipe
    patient = PatientStream(stream)
    expected = [f"{number} ä" for number in range(500)]
    for line in expected:
        patient.write(line + "\n")
    assert patient.finish()
    assert read(reading, 500) == expected and patient.dropped == 0


def test_a_reader_that_stops_costs_lines_and_no_time_and_a_later_line_says_how_many(
    pipe: tuple[int, io.TextIOWrapper],
) -> None:
    reading, stream = pipe
    patient = PatientStream(stream, capacity=100_000)
    handler = logging.StreamHandler(patient)
    logging.getLogger("purport.log").addHandler(handler)
    try:
        started = time.monotonic()
        for _ in range(5000):
            patient.write(LINE)
        assert time.monotonic() - started < 1
        assert patient.dropped > 2000, "the pipe holds 64 KiB"
        dropped = patient.dropped
        found = read(reading, 5000 - dropped + 1)
        assert found.count(LINE[:-1]) == 5000 - dropped, "nothing else is missing"
        assert f"{dropped} log lines were dropped: nobody took them" in found
    finally:
        logging.getLogger("purport.log").removeHandler(handler)
        patient.finish()


def test_the_end_of_a_process_does_not_wait_for_a_reader(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stream = pipe
    monkeypatch.setattr(sys, "stderr", stream)
    started = time.monotonic()
    with patient_stderr():
        sys.stderr.write(LINE * 2000)
    assert time.monotonic() - started < 5
    sys.stderr.write("an error message at the end")
    assert time.monotonic() - started < 5, "it blocked"


def test_a_log_that_takes_nothing_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Path("/dev/full").open("w") as full, os.fdopen(writing, "w") as broken:
        for stream in (full, broken):
            monkeypatch.setattr(sys, "stderr", stream)
            with patient_stderr():
                patient = sys.stderr
                assert isinstance(patient, PatientStream)
                patient.write(LINE)
                until(lambda: patient.dropped == 1)  # noqa: B023
            assert sys.stderr is stream
        os.dup2(full.fileno(), broken.fileno())  # its buffer is empty, and it can be closed
    with io.StringIO() as closed:
        patient = PatientStream(closed)
    patient.write(LINE)
    assert patient.finish() and patient.dropped == 1


def test_what_is_here_is_not_collected_again() -> None:
    before = gc.get_freeze_count()
    try:
        freeze_gc()
        assert gc.get_freeze_count() > before + 1000
    finally:
        gc.unfreeze()


def test_who_waits_when_the_server_stops_gets_an_answer_of_the_contract() -> None:
    sent: list[Any] = []

    async def endless(*_: Any) -> None:
        await asyncio.sleep(1000)

    async def send(message: Any) -> None:
        sent.append(message)

    async def test() -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
        task = asyncio.create_task(RequestLog(endless, ServerSettings())(scope, endless, send))  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    asyncio.run(test())
    start, body = sent
    assert start["status"] == 423 and json.loads(body["body"])["label"] == "NOT_READY"
