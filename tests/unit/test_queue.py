"""Who is answered next, and with whom."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from purport.manifest import ModelFacts
from purport.serving.generation import Generation
from purport.serving.operations import CLASSIFY, INTENT, Classify, Request
from purport.serving.queue import Item, Queue

PLENTY = 10**6


def generation() -> Generation:
    bundle: Any = SimpleNamespace(path="", manifest=SimpleNamespace(model=ModelFacts(limit=20)))
    return Generation(bundle)


def item(of: Generation, text: str = "four", *, bulk: bool = False, operation: str = CLASSIFY) -> Item:
    units = Classify().cost(text, of.facts)
    return Item(operation, Request(text, INTENT), of, asyncio.Future(loop=LOOP), units, bulk)


LOOP = asyncio.new_event_loop()


def test_first_come_first_served_within_the_budget() -> None:
    queue, model = Queue(), generation()
    items = [item(model) for _ in range(5)]
    for each in items:
        queue.add(each)
    assert items[0].units == 4
    assert queue.take(8, PLENTY, {model.number}) == items[:2]
    assert queue.take(PLENTY, 3 * 4 * model.cost, {model.number}) == items[2:]
    assert len(queue) == 0 and queue.seconds() == 0
    assert queue.take(PLENTY, PLENTY, {model.number}) == []


def test_one_that_is_larger_than_the_budget_goes_alone() -> None:
    queue, model = Queue(), generation()
    large, small = item(model, "x" * 1000), item(model)
    queue.add(large)
    queue.add(small)
    assert large.units == 20 + 1000 // 64 + 3, "no more is read than the model reads, and the rest is skimmed"
    assert queue.take(1, 0, {model.number}) == [large]
    assert queue.take(1, 0, {model.number}) == [small]


def test_a_batch_is_of_one_model_and_only_of_one_that_the_worker_has() -> None:
    queue, a, b = Queue(), generation(), generation()
    first, second, third = item(a), item(b), item(a)
    for each in (first, second, third):
        queue.add(each)
    assert queue.take(PLENTY, PLENTY, {b.number}) == [second]
    assert queue.take(PLENTY, PLENTY, {b.number}) == []
    assert queue.take(PLENTY, PLENTY, {a.number, b.number}) == [first, third]


def test_a_batch_is_of_one_operation() -> None:
    queue, model = Queue(), generation()
    items = [item(model, operation=name) for name in (CLASSIFY, "explain", CLASSIFY)]
    for each in items:
        queue.add(each)
    assert queue.take(PLENTY, PLENTY, {model.number}) == [items[0], items[2]]
    assert queue.take(PLENTY, PLENTY, {model.number}) == [items[1]]


def test_nobody_is_answered_who_does_not_wait_any_more() -> None:
    queue, model = Queue(), generation()
    gone, there = item(model), item(model)
    queue.add(gone)
    queue.add(there)
    gone.future.cancel()
    assert queue.take(PLENTY, PLENTY, {model.number}) == [there]
    assert len(queue) == 0 and queue.seconds() == 0


def test_texts_that_nobody_waits_for_do_not_fill_the_queue_of_a_model_that_no_worker_has() -> None:
    queue, model = Queue(), generation()
    for _ in range(3):
        gone = item(model)
        queue.add(gone)
        gone.future.cancel()
    waiting = item(model)
    queue.add(waiting)
    assert queue.take(PLENTY, PLENTY, set()) == []
    queue.drop_gone()
    assert len(queue) == 1 and queue.seconds() == waiting.units * model.cost
    queue.drop_gone()
    assert queue.take(PLENTY, PLENTY, {model.number}) == [waiting]


def test_what_a_worker_died_with_goes_alone() -> None:
    queue, model = Queue(), generation()
    suspects, others = [item(model) for _ in range(2)], [item(model) for _ in range(2)]
    for each in others:
        queue.add(each)
    for each in reversed(suspects):
        each.attempts = 1
        queue.add(each, first=True)
    batches = [queue.take(PLENTY, PLENTY, {model.number}) for _ in range(3)]
    assert batches == [suspects[:1], suspects[1:], others]


def test_single_texts_go_first_and_bulk_does_not_starve() -> None:
    queue, model = Queue(), generation()
    bulk = [item(model, bulk=True) for _ in range(2)]
    for each in bulk:
        queue.add(each)
    turns = []
    for _ in range(8):
        queue.add(item(model))
        queue.add(item(model))
        (taken,) = queue.take(4, PLENTY, {model.number})
        turns.append("bulk" if taken.bulk else "single")
    assert turns == ["single", "single", "single", "bulk"] * 2
    assert queue.length(bulk=True) == 0 and queue.length(bulk=False) == 10


def test_what_was_taken_can_be_put_back_in_front() -> None:
    queue, model = Queue(), generation()
    first, second = item(model), item(model)
    queue.add(second)
    queue.add(first, first=True)
    assert queue.take(PLENTY, PLENTY, {model.number}) == [first, second]


def test_the_cost_of_a_model_follows_what_is_measured_and_forgives_a_stall() -> None:
    model = generation()
    start = model.cost
    model.observe(10, 1000 * start * 10)
    assert model.cost <= 1.5 * start
    for _ in range(200):
        model.observe(10, 10 * 1e-3)
    assert abs(model.cost - 1e-3) < 1e-5
