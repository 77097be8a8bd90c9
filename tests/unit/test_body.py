"""From the bytes of a request to a text: what is refused, with which error, and how much of it is read first."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from purport.errors import (
    BodyInvalid,
    BodyTooLarge,
    MediaTypeUnsupported,
    Overloaded,
    RequestError,
    TextEmpty,
    TextInvalid,
)
from purport.serving.body import Held, check_text, is_json, parse_object, read_body

GONE = {"type": "http.disconnect"}


class Client:
    """Sends ``chunks``, and leaves after them where ``whole`` is false."""

    def __init__(self, *chunks: bytes, whole: bool = True) -> None:
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
        ]
        self._messages.append({"type": "http.request"} if whole else GONE)
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        return self._messages.pop(0)


def read(client: Client, limit: int = 10, **headers: str) -> bytes:
    sent = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return asyncio.run(read_body({"type": "http", "headers": sent}, client.receive, limit))


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/json", True),
        ("APPLICATION/JSON ; charset=utf-8", True),
        ("application/ld+json", True),
        ("application/json+xml", False),
        ("text/json", False),
        ("image/svg+json", False),
        ("application/jsonp", False),
        ("application/x-ndjson", False),
        ("", False),
        ("; application/json", False),
    ],
)
def test_what_counts_as_json(media_type: str, expected: bool) -> None:
    assert is_json(media_type) is expected


def test_a_body_comes_in_any_number_of_chunks() -> None:
    assert read(Client()) == b""
    assert read(Client(b"ab", b"", b"cd"), content_type="application/json; charset=utf-8") == b"abcd"
    assert read(Client(b"a" * 10), content_length="10") == b"a" * 10, "as long as the limit is not too long"


def test_another_media_type_is_refused_unread_and_named() -> None:
    client = Client(b"{}")
    with pytest.raises(MediaTypeUnsupported, match='not "text/plain"'):
        read(client, content_type="text/plain")
    assert client.asked == 0


def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    client = Client(b"a" * 11)
    with pytest.raises(BodyTooLarge, match="has 11 bytes; at most 10"):
        read(client, content_length="11")
    assert client.asked == 0


@pytest.mark.parametrize("length", ["", "ten", "-1", "2"])
def test_a_length_that_is_not_true_does_not_let_more_through(length: str) -> None:
    with pytest.raises(BodyTooLarge):
        read(Client(b"a" * 6, b"a" * 6), content_length=length)


def test_nothing_is_read_beyond_the_limit() -> None:
    client = Client(*[b"abcd"] * 100)
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        read(client)
    assert client.asked == 3


def test_a_client_that_leaves_half_way_has_sent_no_body() -> None:
    with pytest.raises(ClientDisconnect):
        read(Client(b'{"a": 1}', whole=False))


@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
def test_an_empty_body_is_told_what_to_send(body: bytes) -> None:
    with pytest.raises(BodyInvalid, match="empty; send EXAMPLE"):
        parse_object(body, "EXAMPLE")


@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"5", b"true"])
def test_json_that_is_no_object_is_told_what_to_send(body: bytes) -> None:
    with pytest.raises(BodyInvalid, match="not a JSON object; send EXAMPLE"):
        parse_object(body, "EXAMPLE")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", " (line 1, column 2: expecting property name enclosed in double quotes)"),
        (b"{'a': 1}", " (line 1, column 2: expecting property name enclosed in double quotes)"),
        (b'{"a": 1} {}', " (line 1, column 10: extra data)"),
        (b'{"a": NaN}', ""),
        (b'{"a": [{"b": -Infinity}]}', ""),
        (b'{"a": Infinity}', ""),
        (b'{"a": "\xff"}', " (byte 8)"),
        ('{"a": 1}'.encode("utf-16"), " (byte 1)"),
        (b'{"a": ' + b"[" * 40_000, ""),
        (b'{"a": ' + b"9" * 5_000 + b"}", ""),
    ],
)
def test_what_is_no_json_in_utf_8_is_told_what_to_send(body: bytes, where: str) -> None:
    with pytest.raises(BodyInvalid, match=re.escape(f"not JSON in UTF-8{where}; send EXAMPLE")):
        parse_object(body, "EXAMPLE")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.booleans())
def test_every_object_comes_through_as_it_was(values: dict[str, Any], escaped: bool) -> None:
    assert parse_object(json.dumps(values, ensure_ascii=escaped).encode(), "") == values


@given(st.binary())
def test_whatever_is_sent_the_client_gets_an_object_or_an_error_of_ours(body: bytes) -> None:
    with suppress(RequestError):
        assert isinstance(parse_object(body, ""), dict)


@pytest.mark.parametrize("text", [None, 5, 1.5, True, ["a"], {"a": "b"}, b"a"])
def test_what_is_no_string_is_no_text(text: object) -> None:
    with pytest.raises(TextInvalid, match="not a string"):
        check_text(text)


@pytest.mark.parametrize("text", ["", " ", "\t\r\n", "\u2003\u00a0\u3000"])
def test_nothing_but_white_space_is_an_empty_text(text: str) -> None:
    with pytest.raises(TextEmpty):
        check_text(text)


@pytest.mark.parametrize("escaped", [r"\ud83d", r"\ude00", r"\ude00\ud83d", r"fine until here \ud800"])
def test_half_of_a_surrogate_pair_is_no_text(escaped: str) -> None:
    text = parse_object(b'{"text": "%s"}' % escaped.encode(), "")["text"]
    with pytest.raises(TextInvalid, match="surrogate"):
        check_text(text)


def test_a_text_is_taken_as_it_is() -> None:
    assert check_text(parse_object(rb'{"text": " \ud83d\ude00\u0000 "}', "")["text"]) == " \U0001f600\0 "


def test_the_bodies_of_one_client_leave_room_for_those_of_others() -> None:
    held = Held(most=100)
    greedy: list[dict[str, Any]] = [{} for _ in range(6)]
    for scope in greedy[:5]:
        held.take(scope, 10, "a")
    with pytest.raises(Overloaded):
        held.take(greedy[5], 1, "a")
    other: dict[str, Any] = {}
    held.take(other, 25, "b")
    with pytest.raises(Overloaded):
        held.take(other, 1, "b")
    small: dict[str, Any] = {}
    held.take(small, 25)
    with pytest.raises(Overloaded):
        held.take(small, 1)
    for scope in (*greedy, other, small):
        held.give(scope)
    assert held.now == 0
    held.take(greedy[0], 50, "a")
