"""Who is answered next, and with whom."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from purport.manifest import ModelFacts
from purport.serving.generation import Generation
from purport.serving.operations import CLASSIFY, INTENT, Classify, Request
from purport.serving.queue import Item, Queue

PLENTY = 10**6


def generation(**facts: int) -> Generation:
    model = ModelFacts.model_validate({"limit": 20, **facts})
    bundle: Any = SimpleNamespace(path="", manifest=SimpleNamespace(model=model, labels=["a"]))
    return Generation(bundle)


def item(of: Generation, text: str = "four", *, client: str | None = None, operation: str = CLASSIFY) -> Item:
    units = Classify().cost(text, of.facts)
    return Item(operation, Request(text, INTENT), of, asyncio.Future(loop=LOOP), units, client)


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
    bulk = [item(model, client="a") for _ in range(2)]
    for each in bulk:
        queue.add(each)
    turns = []
    for _ in range(8):
        queue.add(item(model))
        queue.add(item(model))
        (taken,) = queue.take(4, PLENTY, {model.number})
        turns.append("bulk" if taken.client else "single")
    assert turns == ["single", "single", "single", "bulk"] * 2
    assert queue.length(bulk=True) == 0 and queue.length(bulk=False) == 10


def test_a_client_with_few_texts_shares_the_next_batch_with_one_who_has_thousands() -> None:
    queue, model = Queue(), generation()
    flood = [item(model, client="a") for _ in range(1_000)]
    for each in flood:
        queue.add(each)
    few = [item(model, client="b") for _ in range(5)]
    for each in few:
        queue.add(each)
    first = queue.take(4 * 20, PLENTY, {model.number})
    assert sorted(first, key=lambda each: each.order) == flood[:15] + few, "what b leaves of its half goes to a"
    assert queue.take(4 * 20, PLENTY, {model.number}) == flood[15:35]
    assert queue.length_of("a") == 965 and queue.length_of("b") == 0


def test_clients_share_by_work_not_by_texts() -> None:
    """Long texts of one do not take the room of short texts of another."""
    queue, model = Queue(), generation()
    for _ in range(10):
        queue.add(item(model, "x" * 100, client="a"))
    for _ in range(100):
        queue.add(item(model, client="b"))
    done = Counter[str | None]()
    for _ in range(3):
        for each in queue.take(100, PLENTY, {model.number}):
            done[each.client] += each.units
    assert abs(done["a"] - done["b"]) <= 2 * 25 and done["a"] + done["b"] > 3 * 75, done


def test_more_clients_than_fit_into_a_batch_take_turns() -> None:
    queue, model = Queue(), generation()
    for _ in range(3):
        for name in "abcdefgh":
            queue.add(item(model, client=name))
    batches = [queue.take(4 * 3, PLENTY, {model.number}) for _ in range(8)]
    assert "".join(str(each.client) for batch in batches for each in batch) == "abcdefgh" * 3


def test_clients_who_ask_different_models_take_turns() -> None:
    queue, one, other = Queue(), generation(), generation()
    for _ in range(100):
        queue.add(item(one, client="a"))
    queue.add(item(other, client="b"))
    turns = [queue.take(4, PLENTY, {one.number, other.number})[0].client for _ in range(3)]
    assert turns == ["a", "b", "a"]


def test_a_client_waits_behind_as_much_of_others_as_it_has_itself() -> None:
    queue, model = Queue(), generation()
    for client, texts in (("a", 1_000), ("b", 10), (None, 3)):
        for _ in range(texts):
            queue.add(item(model, client=client))
    expected = {None: 3, "new": 3, "b": 3 + 10 + 10, "a": 3 + 10 + 1_000}
    for client, texts in expected.items():
        assert queue.seconds_before(client) == pytest.approx(4 * texts * model.cost), client
    assert queue.seconds() == pytest.approx(4 * 1_013 * model.cost)


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


@pytest.mark.parametrize("client", [None, "a client"])
def test_texts_for_a_service_go_one_by_one_and_share_the_time(client: str | None) -> None:
    queue, model = Queue(), generation(at_once=10)
    items = [item(model, client=client) for _ in range(3)]
    for each in items:
        queue.add(each)
    taken = [queue.take(PLENTY, PLENTY, {model.number}) for _ in range(4)]
    assert taken == [[items[0]], [items[1]], [items[2]], []]
    alone = generation()
    for _ in range(200):
        model.observe(4, 0.4)
        alone.observe(4, 0.4)
    assert model.cost == pytest.approx(0.01) and alone.cost == pytest.approx(0.1)
