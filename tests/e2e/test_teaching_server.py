"""A running server is taught while others ask it: no request fails, and the answer changes for all at once."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from purport import Bundle, Client, Example, teach
from purport.errors import ServerError
from purport.teaching.teach import undo

from .conftest import Server, Starter, until

OLD = Path(__file__).parents[1] / "data" / "linear-format-1"  # without memory
TEXT = "the drone flew away with my ring"
KEY = {"Authorization": "Bearer boss"}


@pytest.fixture
def mine(linear_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(linear_bundle.path, tmp_path / "mine"))


@pytest.fixture
def served(start: Starter, mine: Path) -> Iterator[Server]:
    with start(f"shop={mine}", PURPORT_API_KEYS="boss@intent@classify@models,clerk", PURPORT_CACHE="100") as server:
        yield server


def post(server: Server, body: Any, key: str = "boss", model: str = "shop") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{server.url}/v1/models/{model}/examples", json=body, headers=headers, timeout=60)


def test_teaching_and_undoing_drops_no_request(served: Server, mine: Path) -> None:
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(headers=KEY) as http:
            while not stop.is_set():
                statuses.append(http.post(f"{served.url}/intent", json={"text": f"{TEXT} {len(statuses)}"}).status_code)
                time.sleep(0.01)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with Client(served.url, api_key="boss") as boss:
            first = boss.models()[0].bundle
            before = boss.intent(TEXT)[0].label
            label = "damaged_item" if before != "damaged_item" else "refund_status"
            taught = boss.teach("shop", [(TEXT, [label])])
            assert taught.bundle == Bundle.open(mine).manifest.id != first == taught.previous
            assert boss.intent(TEXT)[0].label == label, "not from the cache of the other bundle"
            new = boss.teach("shop", [(f"can i pay with {n} coins", ["coins"]) for n in range(5)])
            assert "coins" in new.labels and boss.intent("can i pay with 3 coins")[0].label == "coins"
            assert boss.undo_teaching("shop").bundle == taught.bundle
            assert boss.undo_teaching("shop").bundle == first
            assert boss.intent(TEXT)[0].label == before
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200} and len(statuses) > 50


def test_what_changes_is_said(served: Server) -> None:
    answer = post(served, {"examples": [{"text": TEXT, "labels": ["damaged_item"]}]}).json()
    assert answer["taught"] == 1 and answer["checked"] > 0
    assert all(set(flip) == {"text", "gold", "before", "after", "broken"} for flip in answer["flips"])
    asked = {"texts": [TEXT], "examples": 1}
    (found,) = httpx.post(f"{served.url}/v1/classify", json=asked, headers=KEY).json()["results"]
    assert found["examples"] == [{"labels": ["damaged_item"], "similarity": 1.0, "text": TEXT, "taught": True}]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "OPTION_INVALID"),
        ({"examples": []}, 400, "OPTION_INVALID"),
        ({"examples": [{"text": TEXT}]}, 400, '"examples" must be a list'),
        ({"examples": [{"text": " ", "labels": []}]}, 400, "TEXT_EMPTY"),
        ({"examples": [{"text": TEXT, "labels": [""]}]}, 400, "OPTION_INVALID"),
        ({"examples": [{"text": TEXT, "labels": ["damaged_itme"]}]}, 409, 'Did you mean "damaged_item"?'),
        ({"examples": [{"text": "x" * 200_000, "labels": []}]}, 409, "at most"),
        ({"examples": [{"text": TEXT, "labels": []}], "allow_flips": -1}, 400, "allow_flips"),
    ],
)  # fmt: skip
def test_what_cannot_be_taught_is_an_error_of_the_contract(served: Server, body: Any, status: int, said: str) -> None:
    answer = post(served, body)
    assert answer.status_code == status and set(answer.json()) == {"label", "message"}
    assert said in f"{answer.json()['label']} {answer.json()['message']}"


def test_who_may_teach_what(served: Server, start: Starter, mine: Path) -> None:
    body = {"examples": [{"text": TEXT, "labels": ["damaged_item"]}]}
    assert post(served, body, key="clerk").status_code == 403
    assert post(served, body, model="shopp").status_code == 404
    teach(mine, [Example(TEXT, ("refund_status",))])
    other = post(served, body)
    assert other.status_code == 409 and "put the model first" in other.json()["message"]
    undo(mine)
    nothing = httpx.delete(f"{served.url}/v1/models/shop/examples", headers=KEY, timeout=60)
    assert nothing.status_code == 409 and nothing.json()["label"] == "NOT_TAUGHT"
    with start("atis", f"old={OLD}", PURPORT_API_KEYS="boss@intent@classify@models") as shipped:
        refused = post(shipped, {"examples": [{"text": TEXT, "labels": ["flight"]}]}, model="atis")
        assert refused.status_code == 409 and "ships with the package" in refused.text
        asked = httpx.post(
            f"{shipped.url}/v1/classify", json={"texts": ["x"], "model": "old", "examples": 1}, headers=KEY
        )
        assert asked.status_code == 400 and "does not remember" in asked.text


def test_a_teaching_that_hangs_keeps_no_other_bundle_waiting(start: Starter, mine: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(mine, tmp_path / "other"))
    body = {"examples": [{"text": TEXT, "labels": ["damaged_item"]}]}
    with (
        start(f"shop={mine},other={other}", PURPORT_API_KEYS="boss@intent@classify@models") as server,
        ThreadPoolExecutor(1) as pool,
    ):
        hanging = pool.submit(post, server, body)
        until(lambda: bool(tutors(server)))
        (tutor,) = tutors(server)
        tutor.suspend()
        try:
            assert post(server, body, model="other").status_code == 200
            assert not hanging.done()
        finally:
            tutor.kill()
        refused = hanging.result()
        assert refused.status_code == 409 and refused.json()["label"] == "NOT_TAUGHT"
        assert post(server, body).status_code == 200, "the directory is free again"


def tutors(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if "purport.serving.tutor" in child.cmdline()]


@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_those_who_teach_at_once_all_succeed(start: Starter, mine: Path, relative: bool) -> None:
    path = mine.name if relative else mine
    with (
        start(f"shop={path}", cwd=mine.parent, PURPORT_API_KEYS="boss@intent@classify@models") as server,
        ThreadPoolExecutor(3) as pool,
    ):
        assert {each.status_code for each in pool.map(partial(post, server), map(_numbered, range(3)))} == {200}
        taught = Bundle.open(mine).manifest.taught
        assert taught is not None and taught.examples == 3
        with Client(server.url, api_key="boss") as boss:
            assert boss.models()[0].bundle == Bundle.open(mine).manifest.id
            with pytest.raises(ServerError, match="MODEL_UNKNOWN"):
                boss.undo_teaching("shopp")


def test_a_directory_of_two_names_is_taught_by_one_at_a_time(start: Starter, mine: Path) -> None:
    link = mine.with_name("link")
    link.symlink_to(mine)
    with (
        start(f"shop={mine},other={link}", PURPORT_API_KEYS="boss@intent@classify@models") as server,
        ThreadPoolExecutor(2) as pool,
    ):
        teach_as = [pool.submit(post, server, _numbered(n), model=name) for n, name in enumerate(["shop", "other"])]
        done, refused = sorted((each.result() for each in teach_as), key=lambda each: each.status_code)
        assert done.status_code == 200 and refused.status_code == 409
        assert "now has another bundle than the one that is served" in refused.json()["message"]
        assert done.json()["bundle"] == Bundle.open(mine).manifest.id, "what was refused has changed nothing"


def _numbered(number: int) -> dict[str, Any]:
    return {"examples": [{"text": f"{TEXT} number {number}", "labels": ["damaged_item"]}]}
