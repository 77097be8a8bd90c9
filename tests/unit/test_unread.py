"""Answers that nobody reads are bounded, and those of one client leave room for those of others."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from purport.serving import unread
from purport.serving.body import HELD_KEY, Held
from purport.serving.unread import LARGE_ANSWER, AnswersBounded, Unread

MOST = 10 * LARGE_ANSWER


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held(MOST, "unread")
    monkeypatch.setattr(unread, "UNREAD", held)
    monkeypatch.setattr(unread, "_MOST", MOST)
    return held


def ask(
    size: int, client: str | None = None, *, address: str = "::1", reader: Unread | None = None, **scoped: str
) -> Any:
    """The status, or the error, of an answer of ``size`` bytes; ``reader`` is the connection that takes it."""
    scope: dict[str, Any] = {
        "type": "http",
        "client": (address, 1),
        "headers": [],
        "method": "POST",
        "path": "/v1/classify",
        **scoped,
    }
    if client:
        scope[HELD_KEY] = 0, client
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def send(message: Message) -> None:
        sent.append(message)
        if reader and message["type"] == "http.response.body":
            reader.add(scope, read=False)

    async def receive() -> Message:
        raise AssertionError

    asyncio.run(AnswersBounded(app)(scope, receive, send))
    assert len(sent) == 2
    return sent[0]["status"] if sent[0]["status"] == 200 else json.loads(sent[1]["body"])["label"]


def test_a_client_that_reads_nothing_is_refused_and_others_are_not(held: Held) -> None:
    deaf, other = Unread(), Unread()
    assert [ask(2 * LARGE_ANSWER, "a", reader=deaf) for _ in range(4)] == [200, 200, "OVERLOADED", "OVERLOADED"]
    assert ask(2 * LARGE_ANSWER, "b", reader=other) == 200
    assert ask(LARGE_ANSWER, "a", reader=deaf) == 200, "a small answer is always sent"
    deaf.clear()
    assert ask(2 * LARGE_ANSWER, "a", reader=deaf) == 200
    deaf.clear()
    other.clear()
    assert held.now == 0


def test_who_has_no_share_of_bulk_work_is_told_by_the_address() -> None:
    deaf, other = Unread(), Unread()
    assert [ask(5 * LARGE_ANSWER, reader=deaf) for _ in range(2)] == [200, "OVERLOADED"]
    assert ask(2 * LARGE_ANSWER, address="::2", reader=other) == 200


def test_an_answer_that_is_larger_than_all_room_is_sent_where_no_other_is_unread() -> None:
    deaf = Unread()
    assert [ask(100 * LARGE_ANSWER, reader=deaf) for _ in range(2)] == [200, "OVERLOADED"]


def test_an_answer_that_is_not_completed_holds_nothing(held: Held) -> None:
    """No connection took it."""
    assert ask(2 * LARGE_ANSWER) == 200
    assert held.now == 0


def test_what_says_that_a_model_was_changed_is_always_sent(held: Held) -> None:
    deaf = Unread()
    assert ask(5 * LARGE_ANSWER, reader=deaf) == 200
    assert ask(5 * LARGE_ANSWER, reader=deaf, method="PUT", path="/v1/models/a") == 200
    assert ask(5 * LARGE_ANSWER, reader=deaf, method="GET", path="/v1/models/a") == "OVERLOADED"
