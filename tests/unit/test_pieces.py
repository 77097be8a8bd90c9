"""Many texts that cost the workers nothing (wrong, or known) do not keep the event loop from others either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from purport.errors import OptionInvalid, PurportError, TextEmpty
from purport.prediction import AnswerOptions
from purport.serving import unread
from purport.serving.access import Principal
from purport.serving.admission import Admission
from purport.serving.body import Held
from purport.serving.routes import classify
from purport.serving.schema import Options, validated
from purport.serving.turns import Turns


def busy(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Idle:
    """A backlog without texts."""

    waiting = waiting_of = seconds = seconds_behind = staticmethod(lambda *_, **__: 0)

    def drop_gone(self) -> None:
        """Nothing is there."""


@dataclass(frozen=True)
class Wrong(classify.Batch):
    """Finds every text wrong, which takes it some time."""

    def begin(self, text: object) -> classify.Pending:
        busy(0.0002)
        return TextEmpty('"text" is empty.')


class Unused:
    labels = 2_000
    bundle: Any = SimpleNamespace(manifest=SimpleNamespace(id="0" * 16))

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def batch(client: str, options: AnswerOptions | None = None) -> Wrong:
    context: Any = SimpleNamespace(
        admission=Admission(Idle(), queue=10, deadline_s=60),
        access=SimpleNamespace(count=lambda *_, **__: None),
        settings=SimpleNamespace(max_body_bytes=65_536, deadline_ms=300),
    )
    generation: Any = Unused()
    return Wrong(context, client, "m", generation, options or AnswerOptions())


def longest_gap(work: Callable[[Turns, str], Awaitable[Any]], clients: str) -> float:
    """The most processor time between two turns of the event loop while all ``clients`` work; the least of three.

    A collection of garbage or a busy machine makes one of them longer, but not all.
    """

    async def test() -> float:
        gaps, last = [], time.thread_time()
        turns = Turns()  # for this event loop alone, in which their timers are
        running = asyncio.gather(*(work(turns, client) for client in clients))
        while not running.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            gaps.append(now - last)
            last = now
        await running
        return max(gaps)

    return min(asyncio.run(test()) for _ in range(3))


@pytest.fixture
def slow_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing an error takes some time."""
    fail = classify._failed

    def slowly(error: PurportError) -> bytes:
        busy(0.0002)
        return fail(error)

    monkeypatch.setattr(classify, "_failed", slowly)


def test_lists_of_texts_are_worked_on_in_pieces_one_at_a_time(slow_errors: None) -> None:
    async def one(turns: Turns, client: str) -> None:
        mine = batch(client)
        async with turns.turn(client) as turn:
            pending = await mine.begin_all([""] * 100, turn)
        answer = await mine.answer(pending, turns)
        assert answer.count(b"TEXT_EMPTY") == 100

    assert longest_gap(one, "aaaaaaaaaaab") < 0.015


def test_lines_of_streams_are_worked_on_in_pieces_one_stream_at_a_time(slow_errors: None) -> None:
    async def one(turns: Turns, client: str) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b'{"text":""}\n' * 100, "more_body": False}

        request = Request({"type": "http"}, receive)
        parts = [part async for part in classify._stream(batch(client), request, turns, Principal(client, frozenset()))]
        assert b"".join(parts).count(b"TEXT_EMPTY") == b"".join(parts).count(b"\n") == 100
        assert len(parts) < 100, "what is there is written together"

    assert longest_gap(one, "aaaaaaaaaaab") < 0.015


def test_a_line_that_is_not_there_in_time_is_an_error_and_the_next_is_answered() -> None:
    async def test() -> list[bytes]:
        admission = Admission(Idle(), queue=1, deadline_s=0.01)
        pending = classify.Window(batch("a"))
        late: classify.Future = asyncio.get_running_loop().create_future()
        for each in (late, TextEmpty("x"), None):
            pending.put_nowait(each)
        parts = [part async for part in classify._answers(pending, admission, Turns(), "a")]
        assert late.cancelled()
        return b"".join(parts).splitlines()

    first, second = asyncio.run(test())
    assert b"No answer within" in first and b"TEXT_EMPTY" in second


def test_few_lines_of_a_stream_wait_if_their_answers_are_large() -> None:
    short, long = classify.Window(batch("a")), classify.Window(batch("a", AnswerOptions(probabilities=True)))
    for window, most in ((short, 256), (long, 5)):
        while not window.full():
            window.put_nowait(None)
        assert window.qsize() == most


def test_a_stream_that_is_not_read_ends_with_an_error_where_too_much_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"text":""}\n' * 10_000, "more_body": False}

    async def answers(scope: dict[str, Any]) -> list[bytes]:
        stream = classify._stream(batch("a"), Request(scope, receive), Turns(), Principal("a", frozenset()))
        return [part async for part in stream]

    monkeypatch.setattr(unread, "UNREAD", held := Held(1_000_000, "unread"))
    scope: dict[str, Any] = {"type": "http"}
    assert b"".join(asyncio.run(answers(scope))).count(b"\n") == 10_000
    assert held.now > 0, "the last lines, until the connection has taken them"
    held.take({}, 1_000_000 - held.now)
    (said,) = asyncio.run(answers({"type": "http"}))
    assert b'"OVERLOADED"' in said and b'"unread"' in said


def test_a_stream_waits_until_others_have_read_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"text":""}\n' * 100, "more_body": False}

    async def answers() -> int:
        held.take(other, 900_000)
        asyncio.get_running_loop().call_later(0.15, held.give, other)
        scope = {"type": "http", "client": ("a", 1)}
        stream = classify._stream(batch("a"), Request(scope, receive), Turns(), Principal("a", frozenset()))
        return b"".join([part async for part in stream]).count(b'"TEXT_EMPTY"')

    monkeypatch.setattr(unread, "UNREAD", held := Held(900_000, "unread"))
    other: dict[str, Any] = {}
    assert asyncio.run(answers()) == 100


@pytest.mark.parametrize("depth", [10, 300, 900, 1_000, 3_000, 20_000])
def test_brackets_in_the_query_of_a_stream_are_an_option_that_is_wrong(depth: int) -> None:
    for value in ("[" * depth, "[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        with pytest.raises(OptionInvalid, match="top_k"):
            validated(Options, classify._from_query({"top_k": value}))
