"""What a connection does by itself: answers that need no application, over a real socket."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from purport.serving.connections import Connections
from purport.serving.protocol import Protocol

EARLY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nearly"


RELEASED: set[bytes] = set()
"""The bodies of the requests to ``/held`` that are to be answered."""


class Early:
    """Answers ``/early``, and counts what waits for ``/slow`` and ``/held``."""

    def __init__(self) -> None:
        self.under_way = 0

    def concerns(self, scope: Mapping[str, object]) -> bool:
        return scope["path"] in ("/slow", "/held")

    def __call__(self, method: bytes, target: bytes) -> bytes | None:
        return EARLY if target == b"/early" else None


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it read of the body."""
    assert scope["type"] == "http"
    body, more = b"", scope["path"] != "/refused"
    if scope["path"] == "/echo":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if scope["path"] == "/echo":
            await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        body, more = body + message["body"], message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    if scope["path"] == "/held":
        await released(body)
    if scope["path"] == "/pieces":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
    if scope["path"] == "/large":
        body = bytes(20_000_000)
    said = b"app " + scope["path"].encode() + b" " + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


async def released(body: bytes) -> None:
    """Return when it is in :data:`RELEASED`, or after ten seconds: a test that has failed ends as well."""
    until = time.monotonic() + 10
    while body not in RELEASED and time.monotonic() < until:
        await asyncio.sleep(0.005)


Connect = Callable[[], socket.socket]


@contextmanager
def serving(early: Early, most: int = 100) -> Iterator[Connect]:
    """A server; what is given connects to it."""
    http = partial(Protocol, early=early, connections=Connections(most))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=http, lifespan="off", log_config=None, log_level="warning")
    )  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield partial(socket.create_connection, listener.getsockname(), timeout=5)
        finally:
            time.sleep(0.05)
            server.should_exit = True
            thread.join()


@pytest.fixture
def connection(caplog: pytest.LogCaptureFixture) -> Iterator[socket.socket]:
    with serving(Early()) as connect, connect() as client:
        yield client
    assert caplog.records == []  # nothing went wrong when the client left


def request(path: str, body: bytes = b"", *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "host: here", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read(client: socket.socket, *answers: str) -> None:
    """Check that just these bodies come, in order."""
    received = b""
    for each in answers:
        while each.encode() not in received:
            chunk = client.recv(65536)
            assert chunk, f"the connection ended before {each!r}; before that came {received!r}"
            received += chunk
        received = received.split(each.encode(), 1)[1]
    assert received == b""


def everything(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    received = b""
    while chunk := client.recv(65536):
        received += chunk
    return received


def round_trip(client: socket.socket) -> None:
    """Return when the server has handled all that was sent to it before, by whatever connection."""
    client.sendall(request("/app", b"there and back"))
    read(client, "app /app there and back")


def stay(early: Early, number: int) -> None:
    """Check that so many requests are under way, perhaps a moment later, and then no others."""
    until = time.monotonic() + 5
    while early.under_way != number and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(0.05)
    assert early.under_way == number


def test_an_early_answer_leaves_the_connection_as_it_should_be(connection: socket.socket) -> None:
    for _ in range(2):
        connection.sendall(request("/early", b"unread"))
        read(connection, "503", "early")
        connection.sendall(request("/app", b"read"))
        read(connection, "200", "app /app read")
    connection.sendall(request("/early", b"unread"))
    read(connection, "503", "early")


def test_a_body_that_comes_later_is_no_part_of_the_next_request(connection: socket.socket) -> None:
    whole = request("/early", b"x" * 50_000)
    connection.sendall(whole[:200])
    read(connection, "503", "early")
    connection.sendall(whole[200:])
    connection.sendall(request("/app", b"read"))
    read(connection, "200", "app /app read")


def test_requests_sent_at_once_are_answered_in_order(connection: socket.socket) -> None:
    connection.sendall(request("/app", b"one") + request("/early", b"two") + request("/early") + request("/app", b"3"))
    # Behind another request the application answers, whatever the target.
    read(connection, "app /app one", "app /early two", "app /early ", "app /app 3")
    connection.sendall(request("/early") + request("/early") + request("/app"))
    read(connection, "early", "early", "app /app ")


@pytest.mark.parametrize(
    "sent",
    [
        request("/early", b"", "connection: close"),
        request("/early", b"", "connection: keep-alive", version="1.0"),
        request("/early", b"", version="1.0"),
    ],
)
def test_where_the_connection_would_end_the_application_answers(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    read(connection, "200", "app /early ")


def test_who_waits_to_be_told_to_send_its_body_is_answered_by_the_application(connection: socket.socket) -> None:
    head, body = request("/early", b"body", "expect: 100-continue").split(b"body")[0], b"body"
    connection.sendall(head)
    read(connection, "100 Continue\r\n\r\n")
    connection.sendall(body)
    read(connection, "app /early body")


def test_what_is_no_http_is_told_so_in_json(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
    received = everything(connection)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b'"label":"BODY_INVALID"' in received
    assert b"connection: close" in received.lower()


def test_only_requests_that_have_arrived_in_whole_and_can_be_answered_are_under_way() -> None:
    early = Early()
    RELEASED.clear()
    with serving(early) as connect, connect() as begun, connect() as whole, connect() as behind, connect() as left:
        begun.sendall(request("/held", b"half")[:-2])
        whole.sendall(request("/held", b"first") + request("/held", b"second"))
        behind.sendall(request("/app", b"half")[:-2])
        left.sendall(request("/held", b"left"))
        stay(early, 2)
        left.close()
        stay(early, 1)
        RELEASED.add(b"first")
        read(whole, "app /held first")
        stay(early, 1)  # the next one of its connection
        begun.sendall(b"lf")
        stay(early, 2)
        RELEASED.update((b"second", b"half", b"left"))
        read(whole, "app /held second")
        read(begun, "app /held half")
    assert early.under_way == 0


def test_connections_that_wait_for_their_client_make_room_the_oldest_first() -> None:
    RELEASED.clear()
    with serving(Early(), most=4) as connect:
        half = request("/app", b"half")[:-2]
        working, first, second, last = (connect() for _ in range(4))
        working.sendall(request("/held", b"work"))
        for client, sent in ((first, half), (second, half), (first, b"l")):  # the first one is the later one now
            client.sendall(sent)
            round_trip(last)
        with connect() as newest:
            newest.sendall(request("/app", b"new"))
            read(newest, "200", "app /app new")
        assert second.recv(1) == b"", "closed"
        first.sendall(b"f")
        read(first, "200", "app /app half")
        RELEASED.add(b"work")
        read(working, "200", "app /held work")
        for each in (working, first, second, last):
            each.close()


@pytest.mark.parametrize("path", ["/large", "/pieces"])
def test_a_connection_that_reads_no_answer_makes_room(path: str) -> None:
    with serving(Early(), most=1) as connect, connect() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(request(path))
        time.sleep(1)
        with connect() as newest:
            newest.sendall(request("/app", b"new"))
            read(newest, "200", "app /app new")


def test_the_rest_of_a_refused_body_is_waited_for_only_while_it_comes() -> None:
    with serving(Early()) as connect, connect() as silent, connect() as slow:
        for each in (silent, slow):
            each.sendall(request("/refused", b"x" * 100)[:-20])
            read(each, "200", "app /refused ")
        began = time.monotonic()
        for _ in range(6):
            time.sleep(0.3)
            slow.sendall(b"x")
        assert silent.recv(1) == b"" and time.monotonic() - began < 6
        slow.sendall(b"x" * 14 + request("/app", b"next"))
        read(slow, "200", "app /app next")
        time.sleep(1.2)
        slow.sendall(request("/app", b"later"))
        read(slow, "200", "app /app later")


def test_the_next_request_waits_until_the_last_answer_is_read() -> None:
    early = Early()
    with serving(early) as connect, connect() as client:
        client.sendall(request("/large") + request("/slow"))
        time.sleep(0.2)
        assert early.under_way == 0
        received = b""
        while not received.endswith(b"app /slow "):
            received = received[-100:] + client.recv(1_000_000)


def test_a_client_that_leaves_while_an_answer_is_written_is_no_error(connection: socket.socket) -> None:
    connection.sendall(request("/pieces") + request("/app"))
    time.sleep(0.2)
    connection.close()


CHUNKED = b"POST /%b HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"


@pytest.mark.parametrize("before", [b"", b"1\r\nb\r\n"])
def test_a_malformed_chunk_is_told_at_once(connection: socket.socket, before: bytes) -> None:
    connection.sendall(CHUNKED % b"app")
    time.sleep(0.05)
    connection.sendall(before + b"zz\r\n")
    received = everything(connection)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b'"label":"BODY_INVALID"' in received


def test_a_malformed_chunk_ends_an_answer_that_has_begun(connection: socket.socket) -> None:
    connection.sendall(CHUNKED % b"echo")
    read(connection, "200", "1\r\na\r\n")
    connection.sendall(b"zz\r\n")
    assert connection.recv(65536) == b""


def test_a_malformed_chunk_behind_other_requests_leaves_their_answers(connection: socket.socket) -> None:
    connection.sendall(request("/slow") + request("/app") + CHUNKED % b"app" + b"zz\r\n")
    read(connection, "app /slow ", "app /app ")
    assert connection.recv(1) == b""


@pytest.mark.parametrize("sent", [b"", b"POST /ha", request("/echo", b"a"), request("/early"), request("/slow")])
def test_a_connection_that_has_ended_leaves_nothing_to_the_garbage_collector(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of them at once would stop the server for a tenth of a second."""
    made: list[weakref.ref[Protocol]] = []
    begin = Protocol.connection_made
    monkeypatch.setattr(Protocol, "connection_made", lambda self, transport: (
        made.append(weakref.ref(self)), begin(self, transport)
    ))  # fmt: skip
    with serving(Early()) as connect:
        gc.collect()
        gc.disable()
        try:
            with connect() as client:
                client.sendall(sent)
                time.sleep(0.1)
            for _ in range(100):
                if made and made[0]() is None:
                    break
                time.sleep(0.02)
            assert [each() for each in made] == [None]
        finally:
            gc.enable()
