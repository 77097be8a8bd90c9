"""What server and workers send each other arrives whole, errors with their facts, and an end is noticed."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from purport import errors
from purport.errors import PurportError
from purport.prediction import AnswerOptions
from purport.serving.operations import CLASSIFY, Request, Result
from purport.serving.wire import Do, Done, Drop, Load, Loaded, pack, read, receive

SLOW_S = 10.0
"""What a test never waits for: it is done long before, or fails."""
MESSAGES = [
    Load(1, "/bundles/a", "0123456789abcdef"),
    Drop(1),
    Do(7, 1, CLASSIFY, [Request("ça va, 你好", AnswerOptions(3, threshold=0.5)), Request("", None)]),
    Loaded(1, None),
    Done(7, [Result(b"{}", ((b"purport-truncated", b"true"),)), "ZeroDivisionError()"]),
]
WITH_FACTS: list[PurportError] = [
    errors.RowInvalid("a.tsv", [(3, "has one column")], "pass --delimiter", more=2),
    errors.BundleCorrupt("/bundles/a", "model.onnx", "is missing"),
    errors.DependencyMissing("training (torch)", "train"),
    errors.ServerError(503, "OVERLOADED", "try again later"),
    errors.Overloaded("try again later", 2.5),
    errors.TextEmpty("empty"),
    errors.TextMissing("missing"),
]
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PurportError)]
OTHERS: list[PurportError] = [
    kind("what, which, and what to do") for kind in KINDS if kind not in {type(each) for each in WITH_FACTS}
]


class Particular(PurportError):
    """As a third party defines one: made from other things than its message."""

    def __init__(self, line: int, *, remedy: str) -> None:
        self.line, self.remedy = line, remedy
        super().__init__(f"line {line}: {remedy}")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    # Without timeouts of their own, as in a worker: a socket that has one never says that nothing is there.
    end = threading.Timer(SLOW_S, lambda: theirs.shutdown(socket.SHUT_RDWR))
    end.start()
    with ours, theirs:
        yield ours, theirs
    end.cancel()


def in_pieces(connection: socket.socket, content: bytes, size: int) -> threading.Thread:
    """Send ``content`` as a busy system does: ``size`` bytes at a time, to a reader that is there already."""

    def send() -> None:
        for start in range(0, len(content), size):
            connection.sendall(content[start : start + size])

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


async def read_from(connection: socket.socket, count: int) -> list[Any]:
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        async with asyncio.timeout(SLOW_S):
            return [await read(reader) for _ in range(count)]
    finally:
        writer.close()


Ends = tuple[socket.socket, socket.socket]
Receive = Callable[[socket.socket, int], list[Any]]


def blocking(connection: socket.socket, count: int) -> list[Any]:
    return [receive(connection) for _ in range(count)]


def spinning(connection: socket.socket, count: int) -> list[Any]:
    return [receive(connection, spin_s=SLOW_S) for _ in range(count)]


def on_the_loop(connection: socket.socket, count: int) -> list[Any]:
    return asyncio.run(read_from(connection, count))


@pytest.mark.parametrize("receiving", [blocking, spinning, on_the_loop])
def test_messages_arrive_whole_and_in_order_however_they_are_cut(ends: Ends, receiving: Receive) -> None:
    sending = in_pieces(ends[0], b"".join(map(pack, MESSAGES)), 7)
    found = receiving(ends[1], len(MESSAGES))
    sending.join()
    assert found == MESSAGES
    assert [type(each) for each in found] == [type(each) for each in MESSAGES], "tuples of one length are not alike"


@pytest.mark.parametrize("receiving", [blocking, spinning, on_the_loop])
def test_a_message_larger_than_any_buffer_arrives_whole(ends: Ends, receiving: Receive) -> None:
    large = Done(1, [Result(bytes(range(256)) * 20_000)])
    sending = in_pieces(ends[0], pack(large) + pack(MESSAGES[0]), 1 << 20)
    assert receiving(ends[1], 2) == [large, MESSAGES[0]], "and takes nothing of the next one"
    sending.join()


@pytest.mark.parametrize(
    "error", [*WITH_FACTS, *OTHERS, Particular(3, remedy="mend it")], ids=lambda e: type(e).__name__
)
def test_an_error_keeps_its_message_and_its_facts(ends: Ends, error: PurportError) -> None:
    ends[0].sendall(pack(Loaded(1, error)))
    found = receive(ends[1]).failure
    assert type(found) is type(error) and str(found) == str(error) and str(found)
    assert vars(found) == vars(error)


@pytest.mark.parametrize("sent", [b"", pack(MESSAGES[0])[:3], pack(MESSAGES[0])[:-1]])
def test_an_end_is_noticed_before_and_within_a_message(ends: Ends, sent: bytes) -> None:
    ours, theirs = ends
    ours.sendall(sent)
    ours.close()
    for spin_s in (SLOW_S, 0.0):
        with pytest.raises(EOFError):
            receive(theirs, spin_s)


@pytest.mark.parametrize("sent", [b"", pack(MESSAGES[0])[:3], pack(MESSAGES[0])[:-1]])
def test_the_server_notices_a_worker_that_is_gone(ends: Ends, sent: bytes) -> None:
    ours, theirs = ends
    ours.sendall(sent)
    ours.close()
    with pytest.raises(asyncio.IncompleteReadError):
        on_the_loop(theirs, 1)


def test_who_looks_out_for_a_message_takes_it_at_once(ends: Ends) -> None:
    ends[0].sendall(pack(MESSAGES[0]))
    started = time.perf_counter()
    assert receive(ends[1], spin_s=SLOW_S) == MESSAGES[0]
    assert time.perf_counter() - started < SLOW_S / 2


def test_who_has_looked_out_long_enough_sleeps_and_wakes_up(ends: Ends) -> None:
    ours, theirs = ends
    spun = threading.Event()
    threading.Thread(target=lambda: (spun.wait(SLOW_S), ours.sendall(pack(MESSAGES[0]))), daemon=True).start()
    before = time.thread_time()
    threading.Timer(0.2, spun.set).start()
    assert receive(theirs, spin_s=0.01) == MESSAGES[0]
    assert time.thread_time() - before < 0.1, "it burns the core while it waits"
