"""Texts to workers and answers back: every client gets its own answer, once, or an error; nobody waits for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from purport.errors import NotReady, PurportError, WorkerLost
from purport.manifest import ModelFacts
from purport.prediction import AnswerOptions
from purport.serving import counters
from purport.serving.cache import AnswerCache
from purport.serving.dispatch import PENDING, Dispatch
from purport.serving.generation import Generation
from purport.serving.operations import CLASSIFY, INTENT, Request, Result
from purport.serving.queue import Item
from purport.serving.wire import Done


@dataclass(eq=False)
class Worker:
    """What is known of a worker; the test does its work."""

    loaded: set[int]
    items: list[Item] = field(default_factory=list)
    since: float = 0.0

    @property
    def free_for(self) -> set[int]:
        return self.loaded

    @property
    def texts(self) -> list[str]:
        return [item.request.text for item in self.items]


class Workers:
    """Stands for a pool."""

    def __init__(self, *workers: Worker) -> None:
        self.workers, self.size = workers, len(workers)

    def has(self, number: int) -> bool:
        return any(number in worker.loaded for worker in self.workers)

    def able(self, number: int) -> int:
        return sum(number in worker.loaded for worker in self.workers)

    def idle(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.items]

    def give(self, worker: Worker, items: list[Item]) -> None:
        worker.items, worker.since = items, items[0].asked


class Desk:
    """A dispatch, the workers that it gives texts to, and what they say."""

    def __init__(self, generation: Generation, workers: int = 1, cache: int = 0) -> None:
        self.generation = generation
        self.workers = [Worker({generation.number}) for _ in range(workers)]
        pool: Any = Workers(*self.workers)
        self.dispatch = Dispatch(pool, AnswerCache(cache, 10**6) if cache else None)

    def ask(self, text: str, options: AnswerOptions = INTENT, *, client: str | None = None) -> asyncio.Future[Result]:
        return self.dispatch.ask(CLASSIFY, Request(text, options), self.generation, client=client)

    async def answer(self, *results: Result | str, worker: int = 0) -> None:
        """Have a worker answer what it has: ``results``, or the texts themselves."""
        of = self.workers[worker]
        items, of.items = of.items, []
        self.dispatch.done(items, Done(1, [*results] or [said(item.request.text) for item in items]), 0.001)
        self.dispatch.run()
        await turn()

    async def die(self, worker: int = 0) -> None:
        """Have a worker die with what it has; another one is there at once."""
        of = self.workers[worker]
        items, of.items = of.items, []
        self.dispatch.lost(items)
        await turn()


def said(text: str) -> Result:
    return Result(text.upper().encode())


async def turn() -> None:
    """One turn of the event loop, and what follows from it."""
    for _ in range(3):
        await asyncio.sleep(0)


def generation(labels: int = 2) -> Generation:
    bundle: Any = SimpleNamespace(path="", manifest=SimpleNamespace(model=ModelFacts(), labels=["a"] * labels))
    return Generation(bundle)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def cached() -> dict[str, float]:
    """What ``/metrics`` says of the cache, of all tests together."""
    names = ("hits", "misses")
    return {name: counters.REGISTRY.get_sample_value(f"purport_cache_{name}_total") or 0.0 for name in names}


def test_texts_that_arrive_together_go_together_and_each_gets_its_own_answer() -> None:
    async def test() -> None:
        desk = Desk(generation())
        futures = [desk.ask(text) for text in ("a", "b", "c")]
        assert desk.workers[0].items == [], "nothing goes before all of one turn are there"
        await turn()
        assert desk.workers[0].texts == ["a", "b", "c"]
        late = desk.ask("d")
        await desk.answer()
        assert [future.result() for future in futures] == [said("a"), said("b"), said("c")]
        assert desk.workers[0].texts == ["d"] and not late.done()

    run(test())


def test_what_waits_is_shared_among_those_who_have_nothing_to_do() -> None:
    async def test() -> None:
        desk = Desk(generation(), workers=2)
        for number in range(4):
            desk.ask(f"text {number}")
        assert desk.dispatch.waiting(bulk=False) == 4 and desk.dispatch.waiting(bulk=True) == 0
        alone = Desk(desk.generation)
        for number in range(4):
            alone.ask(f"text {number}")
        assert desk.dispatch.seconds() == alone.dispatch.seconds() / 2 > 0
        await turn()
        assert [len(worker.items) for worker in desk.workers] == [2, 2]
        assert desk.dispatch.waiting(bulk=False) == 0 and desk.dispatch.seconds() == 0

    run(test())


@pytest.mark.parametrize("cost", [1e-4, 3.3e-5, 7.7e-6])
@pytest.mark.parametrize("longest", [0, 7, 15])
def test_texts_that_cannot_be_cut_are_shared_as_evenly_as_it_goes(cost: float, longest: int) -> None:
    """Seven and nine, because eight would have been a little more than half; or a last text that waited for one."""

    async def test() -> None:
        desk = Desk(generation(), workers=2)
        desk.generation.cost = cost
        for number in range(16):
            desk.ask("word " * (15 if number == longest else 14), client="a client")
        await turn()
        assert [len(worker.items) for worker in desk.workers] == [8, 8]

    run(test())


def test_a_text_is_given_only_to_a_worker_that_has_its_model() -> None:
    async def test() -> None:
        desk = Desk(generation(), workers=2)
        desk.workers[0].loaded.clear()
        desk.ask("a")
        await turn()
        assert desk.workers[0].items == [] and desk.workers[1].texts == ["a"]

    run(test())


def test_a_text_whose_model_no_worker_has_is_refused_at_once_and_asked_again_when_one_has() -> None:
    async def test() -> None:
        desk = Desk(generation(), cache=10, workers=2)
        desk.ask("a")
        await turn()
        await desk.answer()
        for worker in desk.workers:
            worker.loaded.clear()
        for text in ("a", "b"):  # one that the cache knows: /intent says what /ready says
            with pytest.raises(NotReady, match="poll /ready"):
                desk.ask(text)
        desk.workers[1].loaded.add(desk.generation.number)
        desk.ask("b")
        await turn()
        assert desk.workers[1].texts == ["b"]

    run(test())


def test_a_text_on_which_the_model_fails_fails_alone() -> None:
    async def test() -> None:
        desk = Desk(generation(), cache=10)
        first, second = desk.ask("a"), desk.ask("b")
        await turn()
        await desk.answer("ZeroDivisionError()", said("b"))
        with pytest.raises(PurportError, match=r"failed on this text: ZeroDivisionError\(\)"):
            first.result()
        assert second.result() == said("b")
        assert not desk.ask("a").done(), "a failure is not remembered"

    run(test())


def test_the_same_question_is_answered_from_the_cache_at_once() -> None:
    before = cached()

    async def test() -> None:
        desk = Desk(generation(), cache=10)
        first = desk.ask("a")
        await turn()
        await desk.answer()
        again = desk.ask("a")
        assert again.done() and again.result() == first.result() == said("a")
        others = [desk.ask("a", AnswerOptions()), desk.ask("b")]
        assert not any(future.done() for future in others), "another question is another answer"
        desk.generation = generation()
        desk.workers[0].loaded.add(desk.generation.number)
        assert not desk.ask("a").done(), "another bundle is another answer"

    run(test())
    assert cached() == {"hits": before["hits"] + 1, "misses": before["misses"] + 4}


def test_without_a_cache_every_text_is_asked_about() -> None:
    before = cached()

    async def test() -> None:
        desk = Desk(generation(), cache=0)
        for _ in range(2):
            desk.ask("a")
            await turn()
            assert desk.workers[0].texts == ["a"]
            await desk.answer()

    run(test())
    assert cached() == before


def test_a_long_text_does_not_stay_in_memory() -> None:
    async def test() -> None:
        desk = Desk(generation(), cache=10)
        texts = ["x" * 1024, "x" * 1025]
        for text in texts:
            desk.ask(text)
            await turn()
            await desk.answer()
        assert [desk.ask(text).done() for text in texts] == [True, False]

    run(test())


def test_a_request_knows_what_it_waits_for_and_nothing_else() -> None:
    async def test() -> None:
        desk = Desk(generation(), cache=10)
        elsewhere = desk.ask("elsewhere")
        mine: set[asyncio.Future[Result]] = set()
        PENDING.set(mine)
        waiting = {desk.ask("a"), desk.ask("b")}
        assert mine == waiting
        await turn()
        await desk.answer()
        assert mine == set() and elsewhere.done()
        assert desk.ask("a").done() and mine == set(), "nobody waits for what the cache has"

    run(test())


def test_when_a_client_leaves_its_texts_are_dropped() -> None:
    async def test() -> None:
        desk = Desk(generation())
        taken = desk.ask("taken")
        await turn()
        gone, stays = desk.ask("gone"), desk.ask("stays")
        taken.cancel()
        gone.cancel()
        await turn()
        desk.dispatch.drop_gone()
        assert desk.dispatch.waiting(bulk=False) == 1
        await desk.answer()
        assert desk.workers[0].texts == ["stays"]
        await desk.answer()
        assert stays.result() == said("stays")

    run(test())


def test_what_a_worker_died_with_is_tried_once_more_one_by_one() -> None:
    async def test() -> None:
        desk = Desk(generation())
        futures = [desk.ask(text) for text in ("a", "b", "c")]
        await turn()
        futures[1].cancel()
        later = desk.ask("later")
        await desk.die()
        for text in ("a", "c", "later"):
            assert desk.workers[0].texts == [text], "the one that kills is alone, and the others lose nothing"
            await desk.answer()
        assert [futures[0].result(), futures[2].result(), later.result()] == [said("a"), said("c"), said("later")]

    run(test())


def test_a_text_that_may_have_killed_a_worker_is_kept_from_the_last_one() -> None:
    async def test() -> None:
        desk = Desk(generation(), workers=2)
        killer = desk.ask("die")
        await turn()
        number = desk.generation.number
        dead, alive = sorted(desk.workers, key=lambda each: not each.items)
        dead.loaded.clear()
        await desk.die(desk.workers.index(dead))
        other = desk.ask("a")
        await turn()
        assert alive.texts == ["a"], "nobody waits behind it"
        await desk.answer(worker=desk.workers.index(alive))
        assert other.done() and alive.texts == [] and not killer.done()
        dead.loaded.add(number)
        desk.dispatch.run()
        assert dead.texts + alive.texts == ["die"]

    run(test())


def test_a_text_whose_worker_was_stopped_goes_to_the_last_one_at_once() -> None:
    async def test() -> None:
        desk = Desk(generation(), workers=2)
        desk.ask("a")
        await turn()
        stopped, alive = sorted(desk.workers, key=lambda each: not each.items)
        stopped.loaded.clear()
        items, stopped.items = stopped.items, []
        desk.dispatch.lost(items, suspect=False)
        assert alive.texts == ["a"]

    run(test())


def test_a_text_that_two_workers_died_with_is_given_up() -> None:
    async def test() -> None:
        desk = Desk(generation())
        future = desk.ask("die")
        await turn()
        await desk.die()
        assert desk.workers[0].texts == ["die"] and not future.done()
        await desk.die()
        with pytest.raises(WorkerLost):
            future.result()
        assert desk.workers[0].items == []

    run(test())


def test_a_text_that_nobody_waits_for_any_more_is_not_given_up_loudly() -> None:
    async def test() -> None:
        desk = Desk(generation())
        future = desk.ask("die")
        await turn()
        await desk.die()
        future.cancel()
        later = desk.ask("later")
        await desk.die()
        assert desk.workers[0].texts == ["later"] and future.cancelled()
        await desk.answer()
        assert later.result() == said("later")

    run(test())


def test_the_cost_of_a_model_is_learnt_from_what_its_batches_take() -> None:
    async def test() -> None:
        desk = Desk(generation())
        for _ in range(50):
            desk.ask("a text of some length")
            await turn()
            items, desk.workers[0].items = desk.workers[0].items, []
            desk.dispatch.done(items, Done(1, [said("a")]), items[0].units * 5e-4)
        assert desk.generation.cost == pytest.approx(5e-4, rel=0.02)
        assert desk.dispatch.seconds_behind(10) == pytest.approx(10 * items[0].units * 5e-4, rel=0.05)

    run(test())


def test_the_wait_behind_texts_in_the_queue_is_that_of_these_texts() -> None:
    """Whatever another client's long texts have taken."""

    async def test() -> None:
        desk = Desk(generation())
        for _ in range(20):
            desk.ask("long " * 2_000, client="another")
            await turn()
            items, desk.workers[0].items = desk.workers[0].items, []
            desk.dispatch.done(items, Done(1, [said("a")]), items[0].units * 1e-5)
        desk.workers[0].items = items  # busy
        for number in range(100):
            desk.ask(f"short {number}")
        assert desk.dispatch.seconds_behind(100) == desk.dispatch.seconds_behind(200) == desk.dispatch.seconds() > 0

    run(test())


def test_an_operation_that_nobody_registered_leaves_nothing_behind() -> None:
    async def test() -> None:
        desk = Desk(generation(), cache=1)
        mine: set[asyncio.Future[Result]] = set()
        PENDING.set(mine)
        with pytest.raises(PurportError, match='Did you mean "classify"'):
            desk.dispatch.ask("clasify", Request("a", INTENT), desk.generation)
        assert mine == set() and desk.dispatch.waiting(bulk=False) == 0

    run(test())


def test_many_texts_at_once_are_cut_into_batches() -> None:
    async def test() -> None:
        desk = Desk(generation())
        futures = [desk.ask("x" * 400, client="a") for _ in range(100)]
        await turn()
        batches = 0
        while desk.workers[0].items:
            units = sum(item.units for item in desk.workers[0].items)
            assert units <= 1024 and units * desk.generation.cost <= 0.06, "nobody behind it waits for long"
            await desk.answer()
            batches += 1
        assert all(future.done() for future in futures) and 10 <= batches < 100

    run(test())


def test_an_answer_that_names_many_labels_costs_more_and_shares_no_batch_with_many_others() -> None:
    async def test() -> None:
        everything = AnswerOptions(probabilities=True)
        for labels, options, texts in (
            (20_000, AnswerOptions(), 20),
            (150, everything, 20),
            (20_000, everything, 1),
            (20_000, AnswerOptions(top_k=10_000), 3),
        ):
            desk = Desk(generation(labels))
            desk.generation.cost = 1e-6
            for number in range(20):
                desk.ask(f"text {number}", options, client="a")
            await turn()
            assert len(desk.workers[0].texts) == texts, (labels, options)

    run(test())


def test_a_text_costs_what_its_worker_measured_however_late_the_answer_was_read() -> None:
    async def test() -> None:
        desk = Desk(generation())
        for number in range(60):
            future = desk.ask(f"text {number}")
            await turn()
            worker = desk.workers[0]
            items, worker.items = worker.items, []
            desk.dispatch.done(items, Done(1, [said("a")], 0.001), 0.2)
            assert future.result() == said("a")
        assert desk.dispatch.seconds_behind(1) < 0.0011

    run(test())
