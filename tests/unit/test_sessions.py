"""Who may see the pages: sign-in, sessions, other sites, other names, and a server without the packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.settings import load
from purport.ui import mount, sessions

Client = Callable[..., TestClient]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Makes clients of a server whose workers were never started."""

    def make(base_url: str = "http://purport.example", address: str = "192.0.2.7", **settings: Any) -> TestClient:
        context = AppContext.of(load({"review_dir": str(tmp_path), **settings}), {"atis": "atis"}, 1)
        return TestClient(create_app(context), base_url, client=(address, 50_000), follow_redirects=False)

    return make


def test_a_person_signs_in_and_out(client: Client) -> None:
    server = client(api_keys="anna@classify,asker@intent")
    asked = server.get("/ui/review?page=2")
    assert asked.status_code == 303 and asked.headers["location"] == "/ui/sign-in?next=/review"
    assert server.post("/ui/sign-in", data={"key": "wrong"}).status_code == 401
    assert server.post("/ui/sign-in", data={"key": "asker"}).status_code == 403
    begun = server.post("/ui/sign-in", data={"key": " anna ", "next": "/review"})
    assert begun.status_code == 303 and begun.headers["location"] == "/ui/review"
    for word in ("HttpOnly", "SameSite=strict", "Path=/ui"):
        assert word in begun.headers["set-cookie"]
    assert "anna" not in begun.headers["set-cookie"] and "Secure" not in begun.headers["set-cookie"]
    assert server.get("/ui/review").status_code == 200
    session = dict(server.cookies)
    assert server.post("/ui/sign-out").status_code == 303
    server.cookies.update(session)
    assert server.get("/ui/review").status_code == 303, "the session is gone, not only the cookie"


def test_guessing_keys_is_limited_as_for_the_api(client: Client) -> None:
    server = client(api_keys="anna")
    guesses = [server.post("/ui/sign-in", data={"key": f"guess {number}"}).status_code for number in range(21)]
    assert guesses[:20] == [401] * 20 and guesses[20] == 429


def test_a_session_ends_when_nobody_uses_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_IDLE_S", -1.0)
    server = client(api_keys="anna")
    server.post("/ui/sign-in", data={"key": "anna"})
    assert server.get("/ui/review").status_code == 303


@pytest.mark.parametrize(
    "next_", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x=y"]
)
def test_signing_in_leads_nowhere_else(client: Client, next_: str) -> None:
    begun = client(api_keys="anna").post("/ui/sign-in", data={"key": "anna", "next": next_})
    assert begun.headers["location"] == "/ui" and begun.headers.get_list("set-cookie")[0].count("x=y") == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_sites_change_nothing(client: Client, headers: dict[str, str]) -> None:
    for keys in ("", "anna"):
        server = client(api_keys=keys)
        server.post("/ui/sign-in", data={"key": "anna"})
        assert server.post("/ui/fixes", headers=headers, data={"a": "b"}).status_code == 403
        refused = server.put("/ui/api/review/x/1", headers=headers, json={})
        assert refused.status_code == 403 and refused.json()["label"] == "FORBIDDEN"
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://purport.example"}
    assert server.put("/ui/api/review/x/1", headers=own, json={"versions": {"1": 0}}).status_code == 404


def test_without_keys_a_page_of_the_internet_cannot_point_its_name_here(client: Client) -> None:
    for name, status in (("localhost", 200), ("127.0.0.1:8000", 200), ("[::1]", 200), ("evil.example", 403)):
        assert client(f"http://{name}", address="127.0.0.1").get("/ui/review").status_code == status
    assert client("http://evil.example", address="127.0.0.1", api_keys="anna").get("/ui/review").status_code == 303
    proxied = client("http://purport.example", address="127.0.0.1", trusted_proxies="127.0.0.1")
    assert proxied.get("/ui/review").status_code == 200


def test_pages_run_nothing_that_a_text_holds(client: Client) -> None:
    answer = client().get("/ui/review")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and answer.headers["cache-control"] == "no-store"
    assert "<style" not in answer.text and "onclick" not in answer.text


def test_errors_are_pages_or_json(client: Client) -> None:
    server = client()
    for path in ("/ui/nowhere", "/ui/review/none-such", "/ui/review/../../etc", "/ui/review/..%2f..%2fetc"):
        found = server.get(path)
        assert found.status_code == 404
    assert "There is nothing here" in server.get("/ui/review/none-such").text
    assert server.get("/ui/fixes/x?page=many").headers["content-type"].startswith("text/html")
    assert server.put("/ui/api/fixes/none-such/1", json={"version": 0}).json()["title"] == "There is nothing here"


def test_a_server_behind_a_prefix_links_below_it(client: Client) -> None:
    page = client(root_path="/purport").get("/ui").text
    assert 'href="/purport/ui/review"' in page and 'href="/ui' not in page


def test_without_its_packages_the_app_says_what_to_install(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount, "find_spec", lambda name: None)
    for path in ("/ui", "/ui/review"):
        answer = client().get(path)
        assert answer.status_code == 501 and "[ui]" in answer.text and "pip install" in answer.text
