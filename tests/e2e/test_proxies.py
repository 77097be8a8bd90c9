"""Behind a real nginx and a real HAProxy, configured as docs/how-to/proxies.md says, the contract holds as without."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from purport import Bundle

from .conftest import Server, Starter, until

# Collected here once more, with the `server` of this module.
from .test_contract import (  # noqa: F401
    test_a_body_over_the_limit_declared_or_not,
    test_a_body_that_is_no_object,
    test_a_request_has_an_id_and_the_log_has_no_text,
    test_a_text_that_is_no_string,
    test_a_text_with_half_a_surrogate_pair,
    test_an_empty_text,
    test_an_intent_is_the_top_three_by_falling_confidence,
    test_another_media_type,
    test_another_method,
    test_head_is_get_without_the_body,
    test_json_by_any_name,
    test_no_such_path,
    test_no_text,
    test_ready_is_text_unless_json_is_preferred,
    test_the_openapi_document_names_every_answer,
)

RATE = 400
Begin = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def begin(program: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begin]:
    """Starts a proxy of a kind before a server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "serving"))
        import proxy

        def run(kind: str, server: str) -> Any:
            path = program(kind, f"/usr/sbin/{kind}", install=f"apt-get install {kind}")
            return proxy.proxy(kind, server, tmp_path_factory.mktemp(kind), path)

        yield run
        sys.modules.pop("proxy")


@pytest.fixture(scope="module")
def direct(start: Starter, linear_bundle: Bundle) -> Iterator[Server]:
    settings = {"PURPORT_TRUSTED_PROXIES": "127.0.0.1", "PURPORT_ROOT_PATH": "/purport"}
    with start(str(linear_bundle.path), PURPORT_RATE_LIMIT=f"{RATE}/hour", **settings) as server:
        yield server


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def running(request: pytest.FixtureRequest, direct: Server, begin: Begin) -> Iterator[Any]:
    """The proxy."""
    with begin(request.param, urlsplit(direct.url).netloc) as proxy:
        until(lambda: httpx.get(f"{proxy.url}/ready").status_code == 200)
        yield proxy


@pytest.fixture(scope="module")
def server(direct: Server, running: Any) -> Server:
    """The server as clients of the proxy see it."""
    return Server(direct.process, running.url, direct.log)


def client(address: str, **options: Any) -> httpx.Client:
    """A client with an address of its own on this machine."""
    return httpx.Client(transport=httpx.HTTPTransport(local_address=address, **options), timeout=20)


def exhaust(url: str, address: str, **headers: str) -> list[int]:
    """Ask for as many texts as a client may, and then for one more."""
    with client(address) as asking:
        counts = (RATE, 1)
        bodies = [{"texts": ["hello"] * count} for count in counts]
        return [asking.post(f"{url}/v1/classify", json=body, headers=headers).status_code for body in bodies]


def test_each_client_has_its_own_rate_limit_and_none_claims_anothers(server: Server, running: Any) -> None:
    number = 10 if running.kind == "nginx" else 20  # the limits of both proxies are of one server
    first, second, third = (f"127.0.0.{number + each}" for each in range(3))
    assert exhaust(server.url, first) == [200, 429]
    # The proxy adds the address that it sees behind what the client claims.
    assert exhaust(server.url, second, **{"X-Forwarded-For": third}) == [200, 429]
    with client(third) as asking:
        assert asking.post(f"{server.url}/intent", json={"text": "hello"}).status_code == 200
    with client(first) as asking:
        refused = asking.post(f"{server.url}/intent", json={"text": "hello"})
        assert (
            refused.status_code == 429 and refused.json()["label"] == "RATE_LIMITED" and refused.headers["retry-after"]
        )


def test_lines_are_answered_while_the_client_still_sends(server: Server) -> None:
    where = urlsplit(server.url)
    with closing(socket.create_connection((where.hostname, where.port), timeout=10)) as connection:
        head = f"POST {where.path}/v1/classify HTTP/1.1\r\nHost: {where.netloc}\r\nTransfer-Encoding: chunked\r\n"
        connection.sendall(f"{head}Content-Type: application/x-ndjson\r\n\r\n".encode())
        received = b""
        for number in range(1, 4):
            line = json.dumps({"text": f"line {number}"}).encode() + b"\n"
            connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            while received.count(b'"labels"') < number:
                chunk = connection.recv(65536)
                assert chunk, received
                received += chunk
        connection.sendall(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            chunk = connection.recv(65536)
            assert chunk, received
            received += chunk
    assert received.startswith(b"HTTP/1.1 200 ")


def test_the_page_and_its_links_lead_through_the_proxy(server: Server, running: Any) -> None:
    page = httpx.get(f"{server.url}/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    links = re.findall(r'href="(/[^"]*)"', page.text)
    assert len(links) == 5
    if running.prefix:  # the server can have one, and nginx strips it
        assert f"{running.prefix}/intent" in page.text
        root = server.url.removesuffix(running.prefix)
        assert [httpx.get(f"{root}{link}").status_code for link in links] == [200] * 5
        assert httpx.get(server.url).headers["location"].endswith(f"{running.prefix}/")
        assert httpx.get(f"{server.url}/openapi.json").json()["servers"] == [{"url": running.prefix}]


def test_a_reload_of_the_proxy_costs_no_request(server: Server, running: Any) -> None:
    # A connection for each: one that is kept may be closed just when the next request is sent, as by any server.
    with httpx.Client(headers={"Connection": "close"}, timeout=20) as client, ThreadPoolExecutor(4) as pool:

        def ask(number: int) -> int:
            if number % 50 == 25:
                running.reload()
            return client.post(f"{server.url}/intent", json={"text": "hello"}).status_code

        assert set(pool.map(ask, range(100))) == {200}


def test_over_a_unix_socket(start: Starter, begin: Begin, linear_bundle: Bundle, tmp_path: Path) -> None:
    """The proxies forward the addresses of their clients; an idle connection is closed as the setting says."""
    path = tmp_path / "purport.sock"
    settings = {"PURPORT_UNIX_SOCKET": str(path), "PURPORT_TRUSTED_PROXIES": "unix", "PURPORT_RATE_LIMIT": "2/hour"}
    with start(str(linear_bundle.path), PURPORT_KEEP_ALIVE_SECONDS="1", **settings) as server:
        assert server.url == f"unix:{path}"
        for kind in ("nginx", "haproxy"):
            with begin(kind, server.url) as proxy:
                until(lambda proxy=proxy: httpx.get(f"{proxy.url}/ready").status_code == 200)  # type: ignore[misc]
                for address in ("127.0.0.31", "127.0.0.32"):
                    with client(address) as asking:
                        first = asking.post(f"{proxy.url}/intent", json={"text": "hello"})
                        assert first.status_code == 200, "one for each proxy"
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as local:
            asked = [local.post("http://purport/intent", json={"text": "hello"}).status_code for _ in range(3)]
        assert asked == [200, 200, 429], "clients without an address are one"
        with socket.socket(socket.AF_UNIX) as idle:
            idle.settimeout(3)  # less than uvicorn keeps it by itself
            idle.connect(str(path))
            idle.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
            while idle.recv(4096):
                pass
        assert server.stop() == 0 and not path.exists()
