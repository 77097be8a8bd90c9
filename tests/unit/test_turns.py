"""Large requests one at a time: nobody is kept waiting by many that arrive together."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from purport.serving.connections import Connections, Flow
from purport.serving.dispatch import PENDING
from purport.serving.turns import Turns


def busy(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_clients_take_turns_and_the_loop_is_free_in_between() -> None:
    async def test() -> None:
        turns, order, ticks = Turns(), [], []

        async def large(client: str) -> None:
            async with turns.turn(client):
                order.append(client)
                ticks.append(0)
                busy(0.01)

        async def tick() -> None:
            while True:
                await asyncio.sleep(0.001)
                if ticks:
                    ticks[-1] += 1

        others = asyncio.create_task(tick())
        await asyncio.gather(*(large(client) for client in "aaaaab"))
        others.cancel()
        assert "".join(order) == "aabaaa", "b waits for the one that has its turn, and for one"
        assert all(ticks[:-1]), "others are answered between any two"

    asyncio.run(test())


def test_who_leaves_while_it_waits_or_after_it_got_its_turn_gives_it_on() -> None:
    async def test() -> None:
        turns, done = Turns(), []

        async def large(name: str) -> None:
            PENDING.set(pending.setdefault(name, set()))
            async with turns.turn("a"):
                await asyncio.sleep(0.01)
                done.append(name)

        pending: dict[str, set[asyncio.Future[Any]]] = {}
        tasks = [asyncio.create_task(large(name)) for name in ("first", "left", "expired", "last")]
        await asyncio.sleep(0.001)
        for future in tuple(pending["left"]):
            future.cancel()  # as the protocol does when a client disconnects
        tasks[2].cancel()  # as its deadline does
        async with asyncio.timeout(2):
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
        assert done == ["first", "last"] and not any(pending.values())

    asyncio.run(test())


def test_a_turn_that_comes_in_the_moment_of_the_deadline_is_not_lost() -> None:
    async def test() -> None:
        turns = Turns()
        async with turns.turn("a"):
            waiting = asyncio.create_task(enter(turns))
            await asyncio.sleep(0)
        while turns._waiting:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait_for(enter(turns), 2)

    async def enter(turns: Turns) -> None:
        async with turns.turn("a"):
            pass

    asyncio.run(test())


def test_connections_with_large_bodies_are_read_in_turn() -> None:
    """However many there are, 64 MiB are read in a second."""
    connections = Connections(most=10)
    turns = [connections.next_turn(2**20, now=5.0) for _ in range(64)]
    assert turns[0] == 5 + 1 / 64 and turns[-1] == 6.0
    assert connections.next_turn(2**20, now=9.0) == 9 + 1 / 64, "what was not used is not saved up"


def test_what_is_held_is_read_again_only_if_it_is_wanted_then() -> None:
    class Transport:
        reading = True

        def pause_reading(self) -> None:
            self.reading = False

        def resume_reading(self) -> None:
            self.reading = True

    async def test() -> None:
        transport: Any = Transport()
        flow, loop = Flow(transport), asyncio.get_running_loop()
        for wanted in (True, False):
            flow.hold(loop, loop.time() + 0.01)
            flow.resume_reading()
            if not wanted:
                flow.pause_reading()
            assert not transport.reading
            await asyncio.sleep(0.03)
            assert transport.reading is wanted

    asyncio.run(test())
