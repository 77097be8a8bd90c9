"""What somebody sends to the pages to stop them, to read what is not theirs, or to make them fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.settings import load
from purport.ui import sessions
from purport.ui.forms import in_time

Client = Callable[..., TestClient]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Makes clients of a server whose workers were never started."""

    def make(**settings: Any) -> TestClient:
        context = AppContext.of(load({"review_dir": str(tmp_path), **settings}), {"atis": "atis"}, 1)
        return TestClient(create_app(context), client=("192.0.2.7", 50_000), follow_redirects=False)

    return make


def multipart(charset: str, field: bytes) -> dict[str, Any]:
    body = b'--B\r\nContent-Disposition: form-data; name="key"\r\n\r\n' + field + b"\r\n--B--\r\n"
    return {"content": body, "headers": {"content-type": f"multipart/form-data; boundary=B; charset={charset}"}}


@pytest.mark.parametrize("charset", ["punycode", '"punycode"', "idna", "undefined", "utf-7", "zip", "unicode_escape"])
def test_a_form_is_never_decoded_as_its_sender_wishes(client: Client, charset: str) -> None:
    began = time.monotonic()
    answer = client().post("/ui/sign-in", **multipart(charset, b"9ca" + b"a" * 7_000))
    assert answer.status_code == 400 and "UTF-8" in answer.text and time.monotonic() - began < 2
    assert client(api_keys="anna").post("/ui/sign-in", **multipart("UTF-8", b"anna")).status_code == 303


def test_an_urlencoded_form_is_small(client: Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    server = client()
    assert server.post("/ui/review", content=b"&" * 65_537, headers=form).status_code == 413
    assert server.post("/ui/review", content=b"&" * 65_536, headers=form).status_code == 400


def test_a_form_must_arrive_in_time() -> None:
    async def never() -> Any:
        await asyncio.Future[None]()

    async def wait() -> None:
        await in_time(never, 0.01)()

    with pytest.raises(Exception, match=r"within 0\.01 seconds"):
        asyncio.run(asyncio.wait_for(wait(), 2))


def test_pages_count_towards_the_rate_limit_and_say_when_to_come_back(client: Client) -> None:
    server = client(rate_limit="3/minute")
    answers = [server.get("/ui/review") for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    signing = client(rate_limit="3/minute", api_keys="anna")
    assert [signing.post("/ui/sign-in", data={"key": "anna"}).status_code for _ in range(4)] == [303] * 3 + [429]


def test_one_key_cannot_sign_others_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_MOST_OF_ONE", 3)
    monkeypatch.setattr(sessions, "_MOST", 5)
    server = client(api_keys="anna,ben,carl,dora")

    def sign_in(key: str) -> str:
        server.cookies.clear()
        return str(server.post("/ui/sign-in", data={"key": key}).cookies["purport_session"])

    def alive(session: str) -> bool:
        server.cookies.clear()
        return server.get("/ui/review", headers={"cookie": f"purport_session={session}"}).status_code == 200

    anna, *bens = sign_in("anna"), *(sign_in("ben") for _ in range(9))
    assert alive(anna) and [alive(each) for each in bens] == [False] * 6 + [True] * 3
    assert [alive(each) for each in (sign_in("carl"), sign_in("dora"), anna)] == [True, True, True]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("GET", {"host": "[::1"}, 400), ("POST", {"origin": "http://[::1"}, 403), ("POST", {"host": "[::1"}, 400)],
)
def test_headers_that_cannot_be_parsed_are_refused(
    tmp_path: Path, method: str, headers: dict[str, str], status: int
) -> None:
    context = AppContext.of(load({"review_dir": str(tmp_path)}), {"atis": "atis"}, 1)
    server = TestClient(create_app(context), client=("127.0.0.1", 1), follow_redirects=False)
    assert server.request(method, "/ui/review", headers=headers).status_code == status
