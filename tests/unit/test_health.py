"""What orchestrators ask: a wrong answer sends traffic to a server that cannot answer, or kills one that can."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from purport.serving.context import AppContext
from purport.serving.routes.health import prefers_json, router
from purport.settings import load


@pytest.fixture
def client() -> TestClient:
    """Of a server whose workers were never started."""
    app = FastAPI()
    app.include_router(router(AppContext.of(load(), {"atis": "atis"}, 1)))
    return TestClient(app)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("APPLICATION/JSON", True),
        ("text/plain", False),
        ("text/html", False),
        ("text/html, application/json", True),
        ("application/json, text/plain", False),
        ("application/json, text/plain;q=0.5", True),
        ("application/json;q=0.5, text/plain;q=0.4", True),
        ("application/json;q=0.4, text/plain;q=0.5", False),
        ("application/json ; q=0.4 , text/plain ; q=0.3", True),
        ("application/json;charset=utf-8;q=0.9, text/plain;q=0.8", True),
        ("application/json, */*;q=0.1", True),
        ("text/plain;q=0, */*", True),
        ("application/json;q=0, */*", False),
        ("application/*, text/*;q=0.5", True),
        ("application/*;q=0.2, application/json;q=0.9, text/plain;q=0.5", True),
        ("application/json;q=0.2, application/*;q=0.9, text/plain;q=0.5", False),
        ("application/json;q=nonsense, text/plain;q=0.5", True),
        ("application/jsonp, text/json", False),
        (",;,q=1;", False),
    ],
)
def test_json_is_sent_to_who_prefers_it(accept: str, expected: bool) -> None:
    assert prefers_json(accept) is expected


@given(st.text(st.sampled_from("application/json text/plain*;,q=01.9")) | st.text())
@example("application/json;q=nan, text/plain;q=inf")
def test_no_header_that_a_client_makes_up_makes_a_server_look_dead(accept: str) -> None:
    assert isinstance(prefers_json(accept), bool)


def test_a_server_whose_model_is_not_loaded_lives_and_is_not_ready(client: TestClient) -> None:
    plain = client.get("/ready")
    assert (plain.status_code, plain.text) == (423, "Not ready")
    assert plain.headers["content-type"].startswith("text/plain")
    document = client.get("/ready", headers={"Accept": "application/json"})
    assert (document.status_code, document.json()) == (423, "Not ready")
    living = client.get("/healthz")
    assert (living.status_code, living.text) == (200, "OK")


def test_metrics_are_what_prometheus_reads(client: TestClient) -> None:
    response = client.get("/metrics")
    found = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert found["purport_workers"].samples[0].value == 0
    assert found["purport_queue_texts"].samples[0].value == 0
    assert {"purport_requests", "purport_request_seconds", "purport_cache_hits"} <= set(found)
