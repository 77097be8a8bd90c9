"""The training script: the bundle lies on the host, belongs to the caller and is served by the other script."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from purport import Bundle

from .conftest import TRAINING, docker, exists, inspect, run

Serve = Callable[..., httpx.Client]
LINEAR = "recipes/sample-linear.toml"


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_the_fixed_words_train_on_the_sample(task: str, container: str, tmp_path: Path) -> None:
    words = f"{task} --image-name intent-classifier-training --container-name {container} --results {tmp_path / 'out'}"
    done = run(TRAINING, *words.split(), "--", "--set", "fit.epochs=1")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").iterdir()
    assert path.name.startswith(task)
    bundle = Bundle.open(path)
    assert bundle.manifest.kind == "encoder" and bundle.manifest.task == task
    assert f"--model-path {path}" in done.stdout
    assert not exists(container)


def test_a_recipe_and_a_table_of_ones_own(container: str, tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "tickets").mkdir()
    rows = [("my invoice is wrong", "invoice"), ("where is my parcel", "delivery"), ("the parcel is late", "delivery")]
    rows += [(f"{text} number {n}", label) for n in range(20) for text, label in rows]
    (tmp_path / "tickets" / "train.tsv").write_text("text\tlabel\n" + "".join(f"{t}\t{label}\n" for t, label in rows))
    recipe = 'kind = "linear"\ntask = "multiclass"\n[data]\nname = "sample"\nvalid = 0.2\n'
    (tmp_path / "mine.toml").write_text(recipe)
    done = run(TRAINING, "mine.toml", "--data", "tickets", "--name", "first", "-c", container, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    bundle = tmp_path / "bundles" / "first"
    assert Bundle.open(bundle).manifest.recipe["data"]["name"] == "./tickets"
    # A caller who is root gets a folder of the image's user.
    assert bundle.stat().st_uid == (os.getuid() or 65532)
    client = serve("--model-path", bundle)
    answer = client.post("/intent", json={"text": "my parcel is not here"}).json()
    assert answer["intents"][0]["label"] == "delivery"
    again = run(TRAINING, "mine.toml", "--data", "tickets", "--name", "first", "-c", container, cwd=tmp_path)
    assert again.returncode not in (0, 2) and "--overwrite" in again.stderr + again.stdout
    assert not exists(container)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_leaves_no_container_and_the_printed_command_resumes(
    container: str, tmp_path: Path, presses: int
) -> None:
    results = tmp_path / "my results"
    words = ["multilabel", "-c", container, "--results", results, "--name", "a", "--", "--set", "fit.epochs=3"]
    process = subprocess.Popen(
        [TRAINING, *words], start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch 1"):
            break
    for _ in range(presses):
        subprocess.run(["kill", "-INT", "--", f"-{process.pid}"], check=True)
        time.sleep(0.5)
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    assert not exists(container) and (results / "a.run").is_dir()
    assert "Traceback" not in rest
    command = rest.partition("To resume, run: ")[2].splitlines()[0]
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "epoch 1" not in done.stdout
    Bundle.open(results / "a")


def test_the_container_may_do_nothing_but_write_results(container: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [TRAINING, "multilabel", "-c", container, "--results", tmp_path / "out"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not exists(container):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    facts = inspect("container", container)
    # A signal to the script alone, as a service manager sends it.
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not exists(container)
    host = facts["HostConfig"]
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not facts["Config"]["User"].startswith("0:")
    assert [mount["Destination"] for mount in facts["Mounts"] if mount["RW"]] == ["/work/bundles"]


def test_evaluation_is_in_the_image_too() -> None:
    answer = docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", "intent-classifier-training", "data")
    assert "sample" in answer
