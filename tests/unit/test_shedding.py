"""Refusals before a request is more than its head."""

from __future__ import annotations

import json

import pytest
import structlog

from purport.serving import counters
from purport.serving.admission import Admission
from purport.serving.shedding import Shedding


class Backlog:
    """Every request under way takes 0.1 s."""

    def waiting(self, *, bulk: bool) -> int:
        return 0

    def waiting_of(self, client: str) -> int:
        return 0

    def seconds(self, client: str | None = None) -> float:
        return 0.0

    def seconds_behind(self, requests: int) -> float:
        return 0.1 * requests

    def drop_gone(self) -> None: ...


@pytest.fixture
def shedding() -> Shedding:
    return Shedding(Admission(Backlog(), queue=1, deadline_s=5), "POST", "/intent")


def behind(shedding: Shedding, requests: int) -> bytes | None:
    shedding.under_way = requests
    return shedding(b"POST", b"/intent")


def test_who_would_wait_for_half_of_the_deadline_is_refused(shedding: Shedding) -> None:
    assert behind(shedding, 25) is None
    found = behind(shedding, 26)
    assert found is not None
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n") and b"retry-after: 3" in head.lower()
    assert json.loads(body)["label"] == "OVERLOADED"
    assert b"content-length: %d" % len(body) in head.lower()


@pytest.mark.parametrize(("method", "target"), [(b"GET", b"/intent"), (b"POST", b"/v1/classify"), (b"GET", b"/ready")])
def test_other_requests_are_none_of_its_business(shedding: Shedding, method: bytes, target: bytes) -> None:
    shedding.under_way = 10**6
    assert shedding(method, target) is None
    assert not shedding.concerns({"type": "http", "method": method.decode(), "path": target.decode()})


def test_what_is_refused_is_counted_and_logged_once_a_second(shedding: Shedding) -> None:
    before = counters.counted("/intent", 503)._value.get()
    with structlog.testing.capture_logs() as logs:
        for _ in range(10):
            behind(shedding, 100)
    assert counters.counted("/intent", 503)._value.get() - before == 10
    assert [(line["event"], line["refused"]) for line in logs] == [("overloaded", 1)]
