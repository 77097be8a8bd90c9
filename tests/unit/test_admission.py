"""Who is let in when there is more to do than time: by count, and by the wait that is to be expected."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from purport.errors import DeadlineExceeded, Overloaded
from purport.serving.admission import Admission


@dataclass
class Backlog:
    """What waits, as the test says."""

    texts: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    wait: float = 0.0
    gone: int = 0
    of: dict[str, int] = field(default_factory=dict)

    def seconds_behind(self, requests: int) -> float:
        return requests * self.wait

    def drop_gone(self) -> None:
        self.texts[False] -= self.gone

    def waiting_of(self, client: str) -> int:
        return self.of.get(client, 0)

    def waiting(self, *, bulk: bool) -> int:
        return self.texts[bulk]

    def seconds(self, client: str | None = None) -> float:
        return self.wait


def test_texts_are_refused_where_more_than_the_limit_would_wait() -> None:
    backlog = Backlog({False: 9, True: 8 * 1024 - 3})
    admission = Admission(backlog, queue=10, deadline_s=5)
    admission.admit()
    admission.admit(3, client="a")
    with pytest.raises(Overloaded, match="9 texts are already waiting"):
        admission.admit(2)
    with pytest.raises(Overloaded):
        admission.admit(4, client="a")


def test_texts_whose_clients_left_refuse_nobody() -> None:
    backlog = Backlog({False: 10, True: 0}, gone=1)
    admission = Admission(backlog, queue=10, deadline_s=5)
    admission.admit()
    backlog.texts[False], backlog.gone = 10, 0
    with pytest.raises(Overloaded):
        admission.admit()


def test_a_text_that_would_wait_for_half_of_its_deadline_is_refused_and_told_how_long() -> None:
    backlog = Backlog(wait=2.4)
    admission = Admission(backlog, queue=10, deadline_s=5)
    admission.admit()
    backlog.wait = 2.6
    with pytest.raises(Overloaded, match=r"2\.6 seconds") as refused:
        admission.admit()
    assert refused.value.retry_after == 2.6


def test_a_block_ends_with_its_deadline() -> None:
    async def late() -> None:
        with Admission(Backlog(), queue=1, deadline_s=0.01).deadline():
            await asyncio.sleep(5)

    with pytest.raises(DeadlineExceeded, match=r"within 0\.01 seconds"):
        asyncio.run(late())


def test_after_its_deadline_a_task_goes_on_as_if_nobody_had_cancelled_it() -> None:
    async def later() -> int:
        with pytest.raises(DeadlineExceeded), Admission(Backlog(), queue=1, deadline_s=0.01).deadline():
            await asyncio.sleep(5)
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0)
        return task.cancelling()

    assert asyncio.run(later()) == 0


@pytest.mark.parametrize("deadline_s", [0.0001, 5.0])
def test_a_task_that_somebody_else_cancels_is_cancelled(deadline_s: float) -> None:
    """Also where the deadline expires at the same moment."""

    async def late() -> None:
        with Admission(Backlog(), queue=1, deadline_s=deadline_s).deadline():
            await asyncio.sleep(5)

    async def cancelled() -> bool:
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
        task.cancel()
        return (await asyncio.gather(task, return_exceptions=True))[0].__class__ is asyncio.CancelledError

    assert asyncio.run(cancelled())


def test_a_client_may_have_as_many_texts_waiting_as_places_are_free() -> None:
    """Half of them if it is alone, a third if there are two; somebody new always finds room."""
    backlog = Backlog({False: 0, True: 4_000}, of={"a": 4_000})
    admission = Admission(backlog, queue=10, deadline_s=5)
    admission.admit(192, client="a")
    with pytest.raises(Overloaded, match="4000 texts are already waiting"):
        admission.admit(193, client="a")
    admission.admit(1_024, client="b")
    backlog.texts[True], backlog.of["b"] = 5_461, 1_461
    with pytest.raises(Overloaded):
        admission.admit(client="a")
    admission.admit(1_270, client="b")
    with pytest.raises(Overloaded):
        admission.admit(1_271, client="b")
    admission.admit(1_024, client="c")


FULL = [Backlog({False: 0, True: 911}, of={"a": 911}), Backlog(wait=0.07)]


@pytest.mark.parametrize("full", FULL, ids=["texts", "seconds"])
def test_streams_leave_room_for_bulk_requests(full: Backlog) -> None:
    """The streams of a client fill an eighth of what it may have waiting, in texts and in seconds."""
    backlog = replace(full, texts=dict(full.texts), of=dict(full.of))
    admission = Admission(backlog, queue=1, deadline_s=1)

    async def stream() -> bool:
        waiting = asyncio.create_task(admission.room("a"))
        await asyncio.sleep(0)
        admission.admit(1_024, client="a")
        before = waiting.done()
        if backlog.of:
            await asyncio.wait_for(admission.room("b"), 0.01)
        backlog.texts[True], backlog.of["a"], backlog.wait = backlog.texts[True] - 1, 910, 0.05
        await asyncio.wait_for(waiting, 2)
        return before

    assert not asyncio.run(stream())


def test_a_stream_does_not_wait_for_texts_whose_clients_left() -> None:
    class Left(Backlog):
        def drop_gone(self) -> None:
            self.texts[True] = self.of["a"] = 0

    left = Left({False: 0, True: 4_096}, of={"a": 4_096})
    asyncio.run(asyncio.wait_for(Admission(left, queue=1, deadline_s=1).room("a"), 2))
