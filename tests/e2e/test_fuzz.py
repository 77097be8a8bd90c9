"""Ten thousand bodies that nobody would send, and no 500."""

from __future__ import annotations

import http.client
import json
import random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .conftest import Server

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TEXTS = st.text(st.characters(), max_size=60)
BODIES = (
    st.binary(max_size=80)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(["text", "Text", "texts"]), JSON | TEXTS, max_size=2).map(
        lambda value: json.dumps(value).encode()
    )
    | TEXTS.map(lambda text: json.dumps({"text": text}).encode())
)
KNOWN = {400, 413, 415}


def ask(connection: http.client.HTTPConnection, body: bytes, kind: str = "application/json") -> int:
    connection.request("POST", "/intent", body, {"Content-Type": kind})
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status == 200:
        assert 1 <= len(answer["intents"]) <= 3
        assert all(0 <= intent["confidence"] <= 1 for intent in answer["intents"])
    else:
        assert response.status in KNOWN, (response.status, answer, body)
        assert set(answer) == {"label", "message"}
    return response.status


def test_fuzzed_bodies(server: Server) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    seen: set[int] = set()

    @settings(max_examples=4_000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(BODIES)
    @example(b'{"text": "where is my order"}')
    @example(b"{")
    def run(body: bytes) -> None:
        seen.add(ask(connection, body))

    run()
    assert seen == {200, 400}


def test_mutated_bodies(server: Server) -> None:
    """Good requests with bytes flipped, cut, doubled and mixed: near misses are where parsers break."""
    rng = random.Random(0)
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    seeds = [
        json.dumps({"text": "where is my parcel 🙂"}, ensure_ascii=False).encode(),
        rb'{"text": "\ud83d\ude42 \u0000", "n": 1e999, "m": -0, "o": {"text": null}}',
        b'{"text": "a", "text": "b"}',
    ]
    for _ in range(6_000):
        body = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            position = rng.randrange(len(body))
            match rng.randrange(4):
                case 0:
                    body[position] = rng.randrange(256)
                case 1:
                    del body[position : position + rng.randint(1, 5)]
                case 2:
                    body[position:position] = body[: rng.randint(1, 20)]
                case _:
                    body[position:position] = rng.choice([b"\\u", b'"', b"{", b"\xf0", b"\\ud800", b"NaN", b","])
            body = body or bytearray(b" ")
        ask(connection, bytes(body), rng.choice(["application/json"] * 9 + ["text/plain"]))
