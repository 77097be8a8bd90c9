"""Models by name: a swap, a rollback or a failure never leaves a name without a model that every worker has."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from purport import Bundle
from purport.contents import read_bytes
from purport.errors import (
    BundleCorrupt,
    BundleError,
    BundleUnsupported,
    Forbidden,
    ModelConflict,
    ModelUnknown,
    NothingBefore,
    NotReady,
)  # fmt: skip
from purport.serving import store as module
from purport.serving.generation import Generation
from purport.serving.places import Places
from purport.serving.pool import Events, Pool
from purport.serving.store import ModelStore, State

from .scripted_bundles import PLUGIN, scripted

ANYWHERE = Places([], "/")


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the opener of scripted bundles."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(PLUGIN), os.environ.get("PYTHONPATH")))))


@pytest.fixture
def a(tmp_path: Path) -> Bundle:
    return scripted(tmp_path / "a", "one")


@pytest.fixture
def b(tmp_path: Path) -> Bundle:
    return scripted(tmp_path / "b", "two")


@asynccontextmanager
async def serving(size: int = 1, **bundles: Bundle) -> AsyncIterator[tuple[ModelStore, Pool]]:
    """A store whose models are loaded, and its workers."""
    pool = Pool(size, "cpu", 1)
    # Without a trial, so that slow and broken bundles come as far as the workers.
    store = ModelStore({name: str(bundle.path) for name, bundle in bundles.items()}, pool, ANYWHERE, trial=None)
    pool.start(Events(lambda: None, lambda *_: None, lambda *_, **__: None, store.loaded))
    try:
        await store.start()
        yield store, pool
    finally:
        await pool.stop()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def everywhere(pool: Pool, generation: Generation) -> None:
    """Return when every worker has ``generation``: a server begins with its first one."""
    async with asyncio.timeout(20):
        while pool.able(generation.number) < pool.size:
            await asyncio.sleep(0.005)


def test_before_the_models_are_loaded_there_is_none_and_the_server_says_so(a: Bundle) -> None:
    async def test() -> None:
        store = ModelStore({"a": str(a.path)}, Pool(1, "cpu", 1), ANYWHERE)
        assert store.state is State.LOADING and not store.ready and store.able == 0 and len(store) == 0
        for name in (None, "a", "nonsense"):
            with pytest.raises(NotReady, match="poll /ready"):
                store.get(name)
        async with serving(a=a) as (loaded, _):
            assert loaded.state is State.READY and loaded.ready and loaded.able == 1 and len(loaded) == 1

    run(test())


def test_the_first_model_answers_who_names_none(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(second=b, first=a) as (store, _):
            assert store.get().name == "second" and [model.name for model in store.all()] == ["second", "first"]
            assert store.get("first").current.bundle == a and store.get("first").current.source == str(a.path)
            with pytest.raises(ModelUnknown, match=r'no model "frist"\. Did you mean "first"'):
                store.get("frist")

    run(test())


def test_a_model_that_cannot_be_loaded_ends_the_start_and_the_reason_is_kept(a: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        odd = scripted(tmp_path / "odd", opener="scirpted")
        async with serving(a=a, odd=odd) as (store, pool):
            assert store.state is State.FAILED and not store.ready
            assert isinstance(store.failure, BundleUnsupported) and 'Did you mean "scripted"' in str(store.failure)
            with pytest.raises(NotReady):
                store.get("a")
            assert pool.pids(), "the worker lives: the bundle is at fault"
        (tmp_path / "a" / "README.md").unlink()
        async with serving(a=a) as (store, _):
            assert store.state is State.FAILED and isinstance(store.failure, BundleCorrupt)
            assert store.failure.file == "README.md"

    run(test())


def test_who_is_about_to_stop_does_not_become_ready_any_more(a: Bundle) -> None:
    async def test() -> None:
        pool = Pool(1, "cpu", 1)
        store = ModelStore({"a": str(a.path)}, pool, ANYWHERE)
        store.drain()
        pool.start(Events(lambda: None, lambda *_: None, lambda *_, **__: None, store.loaded))
        await store.start()
        assert store.state is State.DRAINING and not store.ready
        assert store.able == 1 and store.get().name == "a", "what still comes is answered"
        await pool.stop()

    run(test())


def test_a_swap_is_over_when_every_worker_has_the_new_bundle(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(size=2, a=a) as (store, pool):
            await everywhere(pool, store.get().current)
            old = store.get().current
            model = await store.put("a", b.path)
            assert model is store.get("a") and model.current.bundle == b and model.previous is old
            assert pool.able(model.current.number) == 2
            assert pool.able(old.number) == 2, "requests under way, and a rollback, need it still"

    run(test())


def test_a_new_name_is_a_new_model(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, _):
            model = await store.put("candidate", b.path)
            assert store.get("candidate") is model and model.previous is None
            assert store.get().name == "a", "the default stays"

    run(test())


def test_what_is_there_already_is_not_loaded_again(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, _):
            first = store.get().current
            assert (await store.put("a", a.path)).current is first and store.get().previous is None
            second = (await store.put("a", b.path)).current
            back = await store.put("a", a.path)
            assert back.current is first and back.previous is second

    run(test())


def test_a_rollback_can_itself_be_rolled_back(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, _):
            with pytest.raises(NothingBefore, match="no other bundle"):
                store.roll_back("a")
            with pytest.raises(ModelUnknown):
                store.roll_back("b")
            await store.put("a", b.path)
            assert store.roll_back("a").current.bundle == a
            assert store.roll_back("a").current.bundle == b

    run(test())


def test_a_worker_forgets_the_bundle_before_the_last_one_once_nobody_waits_for_it(
    a: Bundle, b: Bundle, tmp_path: Path
) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, pool):
            first = store.get().current
            with first:  # a request that came before both swaps, and has not asked yet
                second = (await store.put("a", b.path)).current
                third = (await store.put("a", scripted(tmp_path / "c", "three").path)).current
                able = [pool.able(each.number) for each in (first, second, third)]
                assert able == [1, 1, 1] and store.get().previous is second
            assert pool.able(first.number) == 0
            await store.put("a", scripted(tmp_path / "d", "one").path)
            assert [pool.able(each.number) for each in (second, third)] == [0, 1], "nobody waited for the second"

    run(test())


def test_a_deleted_model_leaves_the_workers_once_its_requests_are_answered(
    a: Bundle, b: Bundle, tmp_path: Path
) -> None:
    async def test() -> None:
        async with serving(a=a, other=b) as (store, pool):
            first = store.get("other").current
            second = (await store.put("other", scripted(tmp_path / "c", "three").path)).current
            with second:  # a request under way
                assert (await store.delete("other", by="key-1")).current is second
                assert [pool.able(each.number) for each in (first, second)] == [0, 1]
                with pytest.raises(ModelUnknown):
                    store.get("other")
            assert pool.able(second.number) == 0
            assert store.ready and store.get().name == "a", "who names no model is answered, with one model less"
            # Whoever was about to load it again does not bring it back.
            with pytest.raises(ModelUnknown):
                await store.put("other")
            with pytest.raises(ModelUnknown):
                await store.delete("other")
            assert (await store.put("other", b.path)).previous is None, "its name is free"

    with capture_logs() as logs:
        run(test())
    (told,) = [line for line in logs if line["event"] == "model deleted"]
    assert (told["model"], told["by"]) == ("other", "key-1")


def test_the_default_stays(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(a=a, b=b) as (store, _):
            with pytest.raises(ModelConflict, match='"a" is the default'):
                await store.delete("a")
            assert store.get().name == "a"

    run(test())


def test_there_are_so_many_names_and_no_more(a: Bundle, b: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MODELS", 3)

    async def test() -> None:
        async with serving(a=a) as (store, _):
            outcomes = await asyncio.gather(
                *(store.put(name, b.path) for name in ("b", "c", "d", "e")), return_exceptions=True
            )
            assert [type(each) for each in outcomes[2:]] == [ModelConflict] * 2, "those under way count"
            assert "has 3 models" in str(outcomes[2])
            await store.put("a", b.path)
            await store.delete("b")
            with pytest.raises(BundleError):
                await store.put("d", b.path / "nowhere")
            await store.put("e", b.path)
            assert not store._turns and not store._waiting, "names that came to nothing are forgotten"

    run(test())


def test_a_reload_follows_a_link_again_and_goes_nowhere_else(a: Bundle, b: Bundle, tmp_path: Path) -> None:
    link, below = tmp_path / "models" / "current", tmp_path / "models"
    below.mkdir()
    for best in ("one", "two", "three"):
        scripted(below / best, best)

    def point(target: Path) -> None:
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    async def test() -> None:
        async with serving(a=a) as (store, _):
            store._places = Places([a.path], str(below))
            point(below / "one")
            await store.put("a", link)
            assert store.get().current.bundle == a, "the same bundle, which is not loaded again"
            for best in ("two", "three", "two"):
                point(below / best)
                await store.reload()
                assert store.get().current.bundle.path == below / best, "opened where the link led when it was checked"
            point(b.path)
            for name, ref in (("a", None), ("new", link), ("new", b.path)):
                with pytest.raises(Forbidden):
                    await store.put(name, ref)
            assert store.get().current.bundle.path == below / "two" and len(store) == 1

    run(test())


def test_a_swap_that_fails_changes_nothing(a: Bundle, b: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, _):
            old = (await store.put("a", b.path)).current
            (a.path / "README.md").write_text("changed")
            odd = scripted(tmp_path / "odd", opener="nonsense")
            for ref in (a.path, tmp_path / "nowhere", odd.path):
                for name in ("a", "new"):
                    with pytest.raises(BundleError):
                        await store.put(name, ref)
            assert store.get().current is old and [model.name for model in store.all()] == ["a"]
            assert store.ready and store.roll_back("a").current.bundle == a

    run(test())


def test_a_load_that_never_ends_is_given_up_and_forgotten(
    a: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, pool):
            monkeypatch.setattr(module, "_LOAD_S", 1.0)
            slow = scripted(tmp_path / "slow", load_s=2.0)
            with pytest.raises(BundleCorrupt, match="slow: the model was not loaded within 1 seconds"):
                await store.put("a", slow.path)
            assert store.get().current.bundle == a and store.ready
            monkeypatch.setattr(module, "_LOAD_S", 20)
            # By the time that this one is there, the worker has reported the late one too.
            other = (await store.put("other", scripted(tmp_path / "other", load_s=2.0).path)).current
            assert [pool.able(number) for number in range(other.number - 1, other.number + 1)] == [0, 1]

    run(test())


def test_a_load_that_takes_long_keeps_no_other_change_waiting(a: Bundle, b: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(a=a, other=a) as (store, pool):
            await store.put("a", b.path)
            slow = asyncio.create_task(store.put("a", scripted(tmp_path / "slow", load_s=60).path))
            while len(pool._generations) < 4:  # until the worker was told
                await asyncio.sleep(0.005)
            async with asyncio.timeout(20):
                assert (await store.put("other", b.path)).current.bundle == b
            assert store.roll_back("a").current.bundle == a and not slow.done()
            slow.cancel()

    run(test())


def test_a_disk_that_hangs_costs_the_change_and_not_the_server(a: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()

    async def test() -> None:
        async with serving(a=a) as (store, _):
            monkeypatch.setattr(module, "_LOAD_S", 0.1)
            monkeypatch.setattr(Bundle, "open", lambda *_, **__: hangs.wait(30))
            with pytest.raises(BundleCorrupt, match=r"could not be read within 0\.1 seconds"):
                await store.put("a", a.path)
            assert store.ready

    started = time.monotonic()
    run(test())
    assert time.monotonic() - started < 20, "the end waited for the disk"
    hangs.set()


def test_nothing_reads_on_for_a_change_that_was_given_up(a: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def endless(*_: object, **__: object) -> Bundle:
        try:
            while True:
                read_bytes(a.path, "README.md")
        finally:
            ended.set()

    async def test() -> None:
        async with serving(a=a) as (store, _):
            monkeypatch.setattr(module, "_LOAD_S", 0.1)
            monkeypatch.setattr(Bundle, "open", endless)
            with pytest.raises(BundleCorrupt, match="could not be read"):
                await store.put("a", a.path)
            assert ended.wait(5)

    run(test())


def test_bundles_are_tried_one_after_another(a: Bundle, b: Bundle) -> None:
    running = most = 0

    async def trial(*_: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    async def test() -> None:
        async with serving(a=a) as (store, _):
            store._trial = trial
            await asyncio.gather(*(store.put(f"b{number}", b.path) for number in range(6)))

    run(test())
    assert most == 1


def test_a_request_to_reload_that_comes_while_models_are_loaded_waits_for_them(a: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        pool, slow = Pool(1, "cpu", 1), scripted(tmp_path / "slow", load_s=3.0)
        store = ModelStore({"a": str(a.path), "slow": str(slow.path)}, pool, ANYWHERE)
        pool.start(Events(lambda: None, lambda *_: None, lambda *_, **__: None, store.loaded))
        starting = asyncio.create_task(store.start())
        async with asyncio.timeout(20):
            while not len(store):
                await asyncio.sleep(0.005)
            new = scripted(a.path, "three")
            reloading = asyncio.create_task(store.reload())
            await asyncio.sleep(0.1)
            assert not reloading.done() and store.state is State.LOADING
            await starting
            await reloading
        assert store.get().current.bundle == new and store.get("slow").current.bundle == slow
        await pool.stop()

    run(test())


def test_a_change_says_who_made_it_and_what_it_replaced(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, _):
            await store.put("a", b.path, by="key-1")
            await store.put("a", b.path, by="key-2")  # nothing changes
            store.roll_back("a", by="anonymous")

    with capture_logs() as logs:
        run(test())
    changes = [(line["by"], line["replaced"], line["bundle"]) for line in logs if line["event"] == "model changed"]
    assert changes == [("key-1", a.manifest.id, b.manifest.id), ("anonymous", b.manifest.id, a.manifest.id)]


def test_a_worker_that_dies_in_a_swap_is_the_end_of_the_swap_alone(a: Bundle, tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(size=2, a=a) as (store, pool):
            current = store.get().current
            await everywhere(pool, current)
            swap = asyncio.create_task(store.put("a", scripted(tmp_path / "b", load_s=60).path))
            while len(pool._generations) < 2:  # until the workers were told
                await asyncio.sleep(0.005)
            os.kill(pool.pids()[0], signal.SIGKILL)
            with pytest.raises(BundleUnsupported, match="died while it loaded"):
                await swap
            assert store.get().current is current and store.ready
            await everywhere(pool, current)

    run(test())


def test_a_reload_takes_what_is_new_and_leaves_what_is_broken(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(broken=a, changed=b) as (store, _):
            before = store.get("broken").current
            (a.path / "README.md").write_text("changed")
            new = scripted(b.path, "three")
            await store.reload()
            assert store.get("broken").current is before
            assert store.get("changed").current.bundle == new and new.manifest.id != b.manifest.id

    with capture_logs() as logs:
        run(test())
    told = {line["model"]: line for line in logs if "model" in line}
    assert "README.md" in told["broken"]["reason"] and told["broken"]["log_level"] == "error"
    assert told["changed"]["event"] == "reloaded"


def test_there_is_nothing_to_go_back_to_once_workers_could_not_load_it_again(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, pool):
            await store.put("a", b.path)
            shutil.rmtree(a.path)
            os.kill(pool.pids()[0], signal.SIGKILL)
            while pool.restarts == 0:
                await asyncio.sleep(0.005)
            await everywhere(pool, store.get().current)
            with pytest.raises(NothingBefore, match="the bundle was deleted from the server's disk"):
                store.roll_back("a")
            assert store.get().current.bundle == b and store.ready

    run(test())


def test_a_generation_is_unused_when_its_last_request_has_ended(a: Bundle) -> None:
    calls: list[str] = []
    generation = Generation(a)
    with generation:
        with generation:
            generation.when_unused(lambda: calls.append("unused"))
        assert calls == []
    assert calls == ["unused"]
    Generation(a).when_unused(lambda: calls.append("at once"))
    assert calls == ["unused", "at once"]


def test_each_loading_of_a_bundle_is_a_generation(a: Bundle) -> None:
    first, second = Generation(a), Generation(a)
    assert first.number != second.number and first.facts == a.manifest.model


def test_putting_what_is_there_while_a_worker_starts_again_keeps_the_bundle_before(a: Bundle, b: Bundle) -> None:
    async def test() -> None:
        async with serving(a=a) as (store, pool):
            await store.put("a", b.path)
            os.kill(pool.pids()[0], signal.SIGKILL)
            while pool.able(store.get().current.number):
                await asyncio.sleep(0.005)
            model = await store.put("a", b.path)
            assert model.previous is not None and model.previous.bundle == a

    run(test())
