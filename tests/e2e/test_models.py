"""What nobody can do with the models: look around on the disk, delete the default, load what is not signed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from purport import Client
from purport.errors import ServerError
from purport.signature import SIGNATURE, new_key, sign

from .conftest import Server, Starter, until

Make = Callable[..., Path]
KEYS = "boss@intent@classify@models,clerk"
BOSS = {"X-API-Key": "boss"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, scripted: Make) -> Path:
    """A directory of models, and a bundle outside of it."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "models").mkdir()
    for best in ("one", "two"):
        scripted(best, target=folder / "models" / best)
    scripted("three", target=folder / "outside")
    (folder / "models" / "out").symlink_to(folder / "outside")
    return folder


@pytest.fixture(scope="module")
def served(start: Starter, folder: Path) -> Iterator[Server]:
    settings = {"PURPORT_API_KEYS": KEYS, "PURPORT_CACHE": "0", "PURPORT_WORKERS": "1"}
    with start("main=models/one", cwd=folder, PURPORT_MODELS_DIR="models", **settings) as server:
        yield server


def put(server: Server, name: str, bundle: str | None, key: str = "boss") -> httpx.Response:
    headers = {"X-API-Key": key}
    return httpx.put(f"{server.url}/v1/models/{name}", json={"bundle": bundle}, headers=headers, timeout=30)


def test_a_bundle_below_the_directory_may_be_put_and_nothing_else_be_looked_for(served: Server, folder: Path) -> None:
    for ref in ("models/two", str(folder / "models" / "two"), "models/one", None):
        assert put(served, "main", ref).status_code == 200
    outside = [
        str(folder / "outside"),
        "outside",
        "models/out",
        "models/../outside",
        "models/out/x",
        "/etc",
        "/nowhere",
    ]
    refused = [put(served, "main", ref) for ref in outside] + [put(served, "new", ref) for ref in outside]
    assert {each.status_code for each in refused} == {403} and len({each.text for each in refused}) == 1
    answer = refused[0].json()
    assert answer["label"] == "FORBIDDEN" and f"models_dir, which is {folder / 'models'}" in answer["message"]
    missing = put(served, "main", "models/missing")
    assert missing.status_code == 409 and "no bundle at" in missing.json()["message"], "there one may look"
    assert [each["name"] for each in httpx.get(f"{served.url}/v1/models", headers=BOSS).json()["models"]] == ["main"]


def test_a_model_is_deleted_and_who_asked_it_before_is_answered(served: Server) -> None:
    with Client(served.url, api_key="boss", timeout=20) as boss, ThreadPoolExecutor(1) as pool:
        made = boss.put_model("extra", "models/two")
        before = served.given()
        under_way = pool.submit(boss.classify, ["slow 3"], model="extra")
        until(lambda: served.given() > before)
        began = time.monotonic()
        assert boss.delete_model("extra") == made
        assert time.monotonic() - began < 2 and not under_way.done(), "it does not wait for them"
        with pytest.raises(ServerError, match='MODEL_UNKNOWN: There is no model "extra"'):
            boss.classify(["hello"], model="extra")
        (answered,) = under_way.result()
        assert not isinstance(answered, ServerError) and answered.labels == ("two",)
        assert [model.name for model in boss.models()] == ["main"] and boss.intent("hello")
        with pytest.raises(ServerError, match=r"MODEL_CONFLICT: .*is the default"):
            boss.delete_model("main")
        with pytest.raises(ServerError, match="MODEL_UNKNOWN"):
            boss.delete_model("extra")
    with Client(served.url, api_key="clerk") as clerk, pytest.raises(ServerError, match="FORBIDDEN"):
        clerk.delete_model("main")
    (line,) = [line for line in served.log.read_text().splitlines() if "model deleted" in line]
    told = json.loads(line)
    assert told["model"] == "extra" and told["bundle"] == made.bundle and told["by"].startswith("key-")


def test_a_server_that_requires_signatures_loads_nothing_else(start: Starter, folder: Path, scripted: Make) -> None:
    signed, unsigned = scripted(target=folder / "models" / "signed"), folder / "models" / "two"
    public = new_key(folder / "key")
    sign(signed, folder / "key")
    settings = {"PURPORT_API_KEYS": KEYS, "PURPORT_WORKERS": "1", "PURPORT_MODELS_DIR": "models"}
    with start(f"main={signed}", cwd=folder, PURPORT_REQUIRE_SIGNATURE=str(public), **settings) as server:
        for bundle in (str(unsigned), "atis"):
            refused = put(server, "main", bundle)
            assert refused.status_code == 409 and "has no signature" in refused.json()["message"]
        examples = {"examples": [{"text": "hello", "labels": ["one"]}]}
        taught = httpx.post(f"{server.url}/v1/models/main/examples", json=examples, headers=BOSS)
        assert taught.status_code == 409 and taught.json()["label"] == "NOT_TAUGHT"
        assert "require_signature" in taught.json()["message"]
        copy = folder / "models" / "copy"
        sign(scripted("two", target=copy), folder / "key")
        assert put(server, "main", "models/copy").status_code == 200
        scripted("three", target=copy)
        assert put(server, "main", None).status_code == 409, "it has no signature of its own"
        # A worker that starts later asks again.
        shutil.rmtree(copy)
        sign(scripted("two", target=copy), folder / "key")
        signature = (copy / SIGNATURE).read_bytes()
        (copy / SIGNATURE).unlink()
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: "has no signature" in server.log.read_text().partition("worker died")[2])
        assert httpx.get(f"{server.url}/ready").status_code == 423
        (copy / SIGNATURE).write_bytes(signature)
        server.wait_ready()


@pytest.mark.parametrize(
    ("key", "code", "told"), [("key.pub", 65, "has no signature"), ("nokey.pub", 78, "nokey.pub cannot be read")]
)
def test_a_server_does_not_start_with_an_unsigned_bundle_or_without_its_key(
    tmp_path: Path, key: str, code: int, told: str
) -> None:
    new_key(tmp_path / "key")
    command = [sys.executable, "-m", "purport", "serve", "atis", "--port", "0", "--require-signature", key]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PURPORT_")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == code and told in done.stderr, done.stderr
