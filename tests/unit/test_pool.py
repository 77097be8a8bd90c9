"""Worker processes: what becomes of texts when their worker answers, dies, or never comes back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from purport import Bundle
from purport.errors import BundleCorrupt, BundleNotFound, BundleUnsupported
from purport.serving import pool as module
from purport.serving.generation import Generation
from purport.serving.operations import CLASSIFY, INTENT, Request
from purport.serving.pool import Events, Pool
from purport.serving.queue import Item
from purport.serving.wire import Done

from .scripted_bundles import PLUGIN, scripted

PATIENCE_S = 20.0
"""What a test waits for at most, on the busiest machine."""
Batch = tuple[Sequence[Item], Done, float]


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the opener of scripted bundles."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(PLUGIN), os.environ.get("PYTHONPATH")))))


class Told:
    """What a pool told its owner, in order."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.idle = 0

    def events(self) -> Events:
        def say(kind: str, what: object) -> None:
            self._said.put_nowait((kind, what))

        def idle() -> None:
            self.idle += 1

        return Events(
            idle=idle,
            done=lambda items, done, seconds: say("done", (items, done, seconds)),
            lost=lambda items, suspect: say("lost", items),
            loaded=lambda number, failure: say("loaded", (number, failure)),
        )

    async def next(self, kind: str, *, past: str = "") -> Any:
        """What the pool says next, which has to be of that ``kind``; what is of the kind ``past`` is passed over."""
        found, what = past, None
        while found == past:
            found, what = await asyncio.wait_for(self._said.get(), PATIENCE_S)
        assert found == kind, (found, what)
        return what


class Clock:
    """The time that a test says it is."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(
    *bundles: Bundle, size: int = 1, **options: Any
) -> AsyncIterator[tuple[Pool, Told, list[Generation]]]:
    """A pool whose workers have ``bundles``."""
    pool, told, generations = Pool(size, "cpu", 1, **options), Told(), [Generation(bundle) for bundle in bundles]
    for generation in generations:
        pool.load(generation)
    pool.start(told.events())
    try:
        for _ in range(size * len(bundles)):
            _, failure = await told.next("loaded")
            assert failure is None
        assert [pool.able(each.number) for each in generations] == [size] * len(generations)
        yield pool, told, generations
    finally:
        await pool.stop()


def give(pool: Pool, generation: Generation, *texts: str) -> list[Item]:
    """Have a worker that has nothing to do answer ``texts``."""
    loop = asyncio.get_running_loop()
    items = [Item(CLASSIFY, Request(text, INTENT), generation, loop.create_future(), 1) for text in texts]
    pool.give(pool.idle()[0], items)
    return items


def labels(done: Done) -> list[str]:
    """The likeliest label of each text, or the error."""
    found = [each if isinstance(each, str) else json.loads(each.body)["intents"][0]["label"] for each in done.results]
    return [each.partition("(")[0] for each in found]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_a_batch_comes_back_in_order_and_its_worker_is_free_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a", "two")) as (pool, told, [generation]):
            before = told.idle
            items = give(pool, generation, "a", "fail", "b")
            assert pool.idle() == [] and told.idle == before
            found, done, seconds = await told.next("done")
            assert found == items and seconds > 0
            assert labels(done) == ["two", "ZeroDivisionError", "two"], "a text that fails fails alone"
            assert len(pool.idle()) == 1 and told.idle == before + 1
            give(pool, generation, "again")
            assert labels((await told.next("done"))[1]) == ["two"]
            assert pool.restarts == 0

    run(test())


def test_the_shipped_bundle_answers_in_a_worker_as_it_does_at_home() -> None:
    from purport import Classifier

    text = "which flights go from boston to denver on monday"
    expected = Classifier.open("atis").predict([text])[0].ranked[0].label

    async def test() -> None:
        async with running(Bundle.open("atis")) as (pool, told, [generation]):
            give(pool, generation, text)
            assert labels((await told.next("done"))[1]) == [expected]

    run(test())


def test_a_worker_that_is_killed_is_replaced_and_what_it_had_is_reported(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, [generation]):
            [pid] = pool.pids()
            items = give(pool, generation, "slow 20", "b")
            os.kill(pid, signal.SIGKILL)
            assert await told.next("lost") == items
            assert pool.able(generation.number) == 0 and pool.idle() == []
            assert await told.next("loaded") == (generation.number, None)
            assert pool.restarts == 1 and pool.pids() != [pid]
            give(pool, generation, "c")
            assert labels((await told.next("done"))[1]) == ["one"]

    run(test())


def test_a_text_that_kills_its_worker_costs_the_others_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a"), size=2) as (pool, told, [generation]):
            killer = give(pool, generation, "die")
            assert await told.next("lost") == killer
            give(pool, generation, "b")
            _, done, _ = await told.next("done", past="loaded")
            assert labels(done) == ["one"], "the other worker answers meanwhile"

    run(test())


def test_a_worker_that_dies_with_nothing_to_do_loses_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, [generation]):
            os.kill(pool.pids()[0], signal.SIGKILL)
            assert await told.next("loaded") == (generation.number, None), "not lost: there was no batch"

    run(test())


def test_a_worker_that_is_stopped_is_replaced_whether_it_works_or_not(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a"), deadline_s=1.0) as (pool, told, [generation]):
            for texts in ((), ("a", "b")):
                [pid] = pool.pids()
                items = []
                os.kill(pid, signal.SIGSTOP)
                if texts:
                    items = give(pool, generation, *texts)
                started = time.monotonic()
                await until(lambda pid=pid: pid not in pool.pids())
                assert time.monotonic() - started < 4.0, "twice the deadline, which test_patience holds exactly"
                if texts:
                    assert await told.next("lost") == items
                assert await told.next("loaded") == (generation.number, None)
            give(pool, generation, "c")
            assert labels((await told.next("done"))[1]) == ["one"]

    run(test())


def test_a_worker_that_hangs_in_a_text_is_replaced_and_one_that_is_slow_is_not(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a"), deadline_s=2.0) as (pool, told, [generation]):
            give(pool, generation, "slow 2.1")
            assert labels((await told.next("done"))[1]) == ["one"], "a little late"
            started = time.monotonic()
            items = give(pool, generation, "slow 60")
            assert await told.next("lost") == items
            assert time.monotonic() - started < 6.0, "twice the deadline, and what a busy machine needs"
            assert await told.next("loaded") == (generation.number, None)

    run(test())


def test_a_clock_that_jumps_makes_no_worker_look_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    async def test() -> None:
        async with running(scripted(tmp_path / "a"), clock=clock, deadline_s=1.0) as (pool, told, [generation]):
            give(pool, generation, "slow 0.6")
            for jump in (1e6, -2e6):
                clock.now += jump
                await asyncio.sleep(0.25)
            assert labels((await told.next("done"))[1]) == ["one"] and pool.restarts == 0

    run(test())


def test_a_server_that_was_paused_itself_takes_no_worker_for_stuck(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a"), deadline_s=1.0) as (pool, told, [generation]):
            give(pool, generation, "slow 0.1")
            time.sleep(3)  # the event loop stands still
            assert labels((await told.next("done"))[1]) == ["one"] and pool.restarts == 0

    run(test())


def test_a_model_that_could_not_be_loaded_is_tried_again_later_and_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_RETRY_S", 0.1)

    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, [generation]):
            (tmp_path / "a").rename(tmp_path / "elsewhere")
            os.kill(pool.pids()[0], signal.SIGKILL)
            for _ in range(3):
                number, failure = await told.next("loaded")
                assert number == generation.number and isinstance(failure, BundleNotFound)
            assert not pool.has(generation.number)
            (tmp_path / "elsewhere").rename(tmp_path / "a")
            assert await told.next("loaded") == (generation.number, None)
            assert pool.has(generation.number) and pool.restarts == 1, "the worker itself is fine"

    with capture_logs() as logs:
        run(test())
    again = [line["after_s"] for line in logs if line["event"] == "loading the model again"]
    assert again == pytest.approx([0.1, 0.2, 0.4])


def test_a_model_that_was_given_up_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_RETRY_S", 0.05)

    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, _):
            odd = Generation(scripted(tmp_path / "odd", opener="nonsense"))
            pool.load(odd)
            assert (await told.next("loaded"))[0] == odd.number
            pool.drop(odd)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await told.next("loaded")

    run(test())


def test_a_model_that_kills_workers_while_it_is_loaded_is_loaded_later_and_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_S", 0.2)

    async def test() -> None:
        pool, told = Pool(1, "cpu", 1), Told()
        heavy = Generation(scripted(tmp_path / "heavy", load_s=60.0))
        pool.load(heavy)
        pool.start(told.events())
        for _ in range(3):
            await until(lambda: pool.pids() != [])
            await asyncio.sleep(0.3)  # it lived for long, but never had its model
            os.kill(pool.pids()[0], signal.SIGKILL)
            assert (await told.next("loaded"))[0] == heavy.number
        await until(lambda: pool.restarts == 3)
        await pool.stop()

    with capture_logs() as logs:
        run(test())
    died = [line for line in logs if line["event"] == "worker died"]
    assert [line["restart_in_s"] for line in died] == [0.1, 0.2, 0.4]


def test_a_load_that_never_ends_does_not_burn_on_and_the_answers_go_on(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a"), size=2) as (pool, told, [generation]):
            before = pool.pids()
            pool._patience = replace(pool._patience, loading=3)
            endless = Generation(scripted(tmp_path / "endless", load_s=1000.0))
            pool.load(endless)
            pool.drop(endless)
            for _ in range(2):
                assert await told.next("loaded") == (generation.number, None)
                assert pool.able(generation.number) == 2, "one at a time"
            assert not {*before} & {*pool.pids()}

    run(test())


def test_a_load_that_never_ends_does_not_burn_on_in_the_only_worker_either(tmp_path: Path) -> None:
    async def test() -> None:
        # With a deadline that is never over: only for its load, the worker is taken for stuck.
        async with running(scripted(tmp_path / "a"), deadline_s=60.0) as (pool, told, [generation]):
            [before] = pool.pids()
            endless = Generation(scripted(tmp_path / "endless", load_s=1000.0))
            pool.load(endless)
            pool.drop(endless)
            pool._patience = replace(pool._patience, loading=1)
            items = give(pool, generation, "slow 60")
            await until(lambda: len(pool.pids()) == 2)
            pool._patience = replace(pool._patience, loading=300)
            assert await told.next("loaded") == (generation.number, None)
            assert await told.next("lost") == items, "the other worker gets them"
            assert pool.able(generation.number) == 1 and before not in pool.pids()
            give(pool, generation, "b")
            assert labels((await told.next("done"))[1]) == ["one"]
            await asyncio.sleep(1.2)
            assert len(pool.pids()) == 1 == pool.restarts

    run(test())


def test_what_a_library_prints_is_logged_and_stops_no_worker(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, [generation]):
            give(pool, generation, "shout")  # more than a pipe holds
            assert labels((await told.next("done"))[1]) == ["one"]

    with capture_logs() as logs:
        run(test())
    assert sum(line.get("output", "").count("!") for line in logs) > 100_000


def test_a_new_worker_has_what_the_others_have_and_nothing_that_was_dropped(tmp_path: Path) -> None:
    async def test() -> None:
        bundles = scripted(tmp_path / "a", "one"), scripted(tmp_path / "b", "two")
        async with running(*bundles) as (pool, told, [old, new]):
            later = Generation(scripted(tmp_path / "c", "three"))
            pool.load(later)
            assert await told.next("loaded") == (later.number, None)
            pool.drop(old)
            assert pool.able(old.number) == 0
            os.kill(pool.pids()[0], signal.SIGKILL)
            loaded = {await told.next("loaded"), await told.next("loaded")}
            assert loaded == {(new.number, None), (later.number, None)}
            assert [pool.able(each.number) for each in (old, new, later)] == [0, 1, 1]
            give(pool, later, "a")
            assert labels((await told.next("done"))[1]) == ["three"]

    run(test())


def test_a_model_is_loaded_beside_the_answers_of_the_one_in_use(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, [generation]):
            pool.load(Generation(scripted(tmp_path / "b", "two", load_s=10.0)))
            give(pool, generation, "a")
            assert labels((await told.next("done"))[1]) == ["one"], "answered before the other one is there"

    run(test())


def test_what_was_dropped_while_it_was_loaded_is_not_had(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, [generation]):
            unwanted = Generation(scripted(tmp_path / "b", load_s=0.2))
            pool.load(unwanted)
            pool.drop(unwanted)
            assert (await told.next("loaded"))[0] == unwanted.number
            assert pool.able(unwanted.number) == 0 and pool.able(generation.number) == 1

    run(test())


def test_a_bundle_that_was_replaced_on_disk_is_not_taken_for_the_one_that_was_asked_for(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, _):
            verified = scripted(tmp_path / "b", "one")
            scripted(tmp_path / "b", "two")
            generation = Generation(verified)
            pool.load(generation)
            number, failure = await told.next("loaded")
            assert number == generation.number and pool.able(number) == 0
            assert isinstance(failure, BundleCorrupt) and failure.file == "manifest.json"
            assert failure.path == str(tmp_path / "b") and "was replaced" in str(failure)

    run(test())


def test_a_bundle_whose_worker_dies_while_it_loads_is_reported_as_the_culprit(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a")) as (pool, told, [generation]):
            heavy = Generation(scripted(tmp_path / "b", load_s=60.0))
            pool.load(heavy)
            os.kill(pool.pids()[0], signal.SIGKILL)
            number, failure = await told.next("loaded")
            assert number == heavy.number and isinstance(failure, BundleUnsupported)
            pool.drop(heavy)
            assert await told.next("loaded") == (generation.number, None), "the other model is answered again"

    run(test())


def test_workers_that_cannot_even_start_are_started_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    async def test() -> None:
        pool = Pool(1, "cpu", 1)
        pool.start(Told().events())
        await until(lambda: pool.restarts == 3)
        await pool.stop()

    with capture_logs() as logs:
        run(test())
    assert [line["restart_in_s"] for line in logs if line["event"] == "worker died"] == [0.1, 0.2, 0.4]


def test_the_end_of_a_pool_is_the_end_of_its_processes(tmp_path: Path) -> None:
    async def test() -> list[int]:
        async with running(scripted(tmp_path / "a"), size=2) as (pool, _, [generation]):
            give(pool, generation, "slow 60")
            return pool.pids()

    started = time.monotonic()
    for pid in asyncio.run(test()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert time.monotonic() - started < PATIENCE_S, "it waited for the batch"


def test_a_worker_that_waits_for_a_service_answers_others_meanwhile(tmp_path: Path) -> None:
    async def test() -> None:
        remote, own = scripted(tmp_path / "remote", "two", at_once=2), scripted(tmp_path / "own")
        async with running(remote, own) as (pool, told, [waits, works]):
            first, second = give(pool, waits, "slow 2.5"), give(pool, waits, "slow 1")
            [worker] = pool.idle()
            assert worker.free_for == {works.number}, "two at once, and no more"
            own_items = give(pool, works, "a")
            assert pool.idle() == []
            answered = [(await told.next("done"))[:2] for _ in range(3)]
            assert [items for items, _ in answered] == [own_items, second, first], "the quickest first"
            assert [labels(done) for _, done in answered] == [["one"], ["two"], ["two"]]
            assert worker.free_for == {waits.number, works.number} and pool.restarts == 0

    run(test())


def test_what_waits_for_a_service_when_its_worker_dies_is_reported(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(scripted(tmp_path / "a", at_once=8)) as (pool, told, [generation]):
            items = give(pool, generation, "slow 20") + give(pool, generation, "slow 20")
            os.kill(pool.pids()[0], signal.SIGKILL)
            assert await told.next("lost") + await told.next("lost") == items
            assert await told.next("loaded") == (generation.number, None)
            give(pool, generation, "c")
            assert labels((await told.next("done"))[1]) == ["one"]

    run(test())
