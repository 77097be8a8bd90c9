"""The page at `/`: small, safe, and silent about models to whoever may not see them."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.settings import load

Client = Callable[..., TestClient]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Makes clients of a server that has a model, whose workers were never started."""

    def make(labels: tuple[str, ...] = ("it's", "lost_card"), **settings: Any) -> TestClient:
        context = AppContext.of(load(settings), {"atis": "atis"}, 1)
        manifest = SimpleNamespace(id="0123456789abcdef", task="multilabel", labels=labels)
        model = SimpleNamespace(name="atis", current=SimpleNamespace(bundle=SimpleNamespace(manifest=manifest)))
        monkeypatch.setattr(context.store, "all", lambda: [model])
        return TestClient(create_app(context), base_url="http://purport.example:8000")

    return make


def test_it_says_what_the_server_is_how_to_ask_and_where_to_go_on(client: Client) -> None:
    response = client().get("/")
    assert response.status_code == 200 and response.headers["content-type"] == "text/html; charset=utf-8"
    page = response.text
    assert len(page) < 5_000 and "<h1>Purport</h1>" in page and "0123456789abcdef" in page and "not ready" in page
    assert "curl http://purport.example:8000/intent" in page and "Bearer" not in page
    assert re.findall(r'href="(/[^"]*)"', page) == ["/ui", "/openapi.json", "/ready", "/metrics", "/v1/models"]


@pytest.mark.parametrize(
    ("labels", "text"),
    [(("it's; rm -rf ~", "lost_card"), "I have a question about lost card"), (("'", "$(id)"), "Write a message here")],
)
def test_the_example_fits_the_model_and_is_safe_to_paste(labels: tuple[str, ...], text: str, client: Client) -> None:
    assert f'-d \'{{"text": "{text}"}}\'' in unescape(client(labels).get("/").text)
    hidden = unescape(client(labels, api_keys="hunter2").get("/").text)
    assert "Write a message here" in hidden and "lost card" not in hidden, "labels are for who may see the models"


def test_nothing_runs_and_nothing_is_loaded(client: Client) -> None:
    response = client().get("/")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store", "what is seen depends on the key"
    assert not re.search(r"<script|<img|<link rel=\"style|url\(|@import|https?://(?!purport\.example)", response.text)


def test_who_may_not_see_the_models_learns_that_keys_are_needed(client: Client) -> None:
    keys = client(api_keys="hunter2@intent,boss@classify", rate_limit="2/hour")
    for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": "hunter2"}):
        page = keys.get("/", headers=headers).text
        assert "atis" not in page and "0123456789abcdef" not in page and "Clients need a key" in page
        assert "listed for a key with the permission <code>classify</code>" in page
        assert "Authorization: Bearer KEY" in page
    for _ in range(3):  # looking is not asking: it does not count
        assert "0123456789abcdef" in keys.get("/", headers={"X-API-Key": "boss"}).text
    guesses = [keys.get("/", headers={"X-API-Key": f"guess {number}"}).status_code for number in range(21)]
    assert guesses[0] == 200 and guesses[-1] == 429, "the page is no way round the limit of guesses"


def test_json_for_whoever_prefers_it(client: Client) -> None:
    response = client(root_path="/bots/").get("/", headers={"Accept": "application/json"})
    assert response.json() == {
        "service": "purport",
        "version": response.json()["version"],
        "ready": False,
        "models": [{"name": "atis", "bundle": "0123456789abcdef", "task": "multilabel", "labels": 2}],
        "paths": {
            "ui": "/bots/ui", "api": "/bots/openapi.json", "ready": "/bots/ready", "metrics": "/bots/metrics",
            "models": "/bots/v1/models",
        },
    }  # fmt: skip
    assert client().get("/", headers={"Accept": "text/html, application/json;q=0.9"}).text.startswith("<!doctype html>")


def test_behind_a_prefix_links_and_document_have_it(client: Client) -> None:
    behind = client(root_path="/bots")
    page = behind.get("/").text
    assert 'href="/bots/ready"' in page and "curl http://purport.example:8000/bots/intent" in page
    assert behind.get("/openapi.json").json()["servers"] == [{"url": "/bots"}]
    assert "servers" not in client().get("/openapi.json").json()


@pytest.mark.parametrize("host", ["<script>alert(1)</script>", "a'; rm -rf ~; '", "$(id)"])
def test_a_host_that_somebody_made_up_is_not_shown(host: str, client: Client) -> None:
    page = client().get("/", headers={"Host": host}).text
    assert host not in page and "curl http://localhost/intent" in page


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/ready", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
        ("/intent", "OPTIONS, POST"),
        ("/v1/models/atis", "DELETE, GET, HEAD, OPTIONS, PUT"),
    ],
)
def test_every_path_tells_its_methods(path: str, allowed: str, client: Client) -> None:
    asked = client()
    told = asked.options(path)
    assert (told.status_code, told.headers["allow"], told.content) == (204, allowed, b"")
    refused = asked.patch(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
    assert asked.options("/nonsense").status_code == 404
