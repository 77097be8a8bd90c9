"""Two runs at once, signals, and runs that were damaged while nobody looked."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from purport import Bundle, load_recipe
from purport.errors import OutputExists, RunMismatch
from purport.kinds.encoder.checkpoints import latest_checkpoint
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.training.workspace import work_directory

from ..conftest import SAMPLE
from .test_training import SLOW, as_toml, changed, command

LINEAR = {"kind": "linear", "task": "multilabel", "data": SAMPLE}


def until(condition: Callable[[], object], process: subprocess.Popen[Any]) -> None:
    """Wait until it holds; the process must not end before."""
    while not condition():
        assert process.poll() is None, f"ended too early with {process.returncode}"
        time.sleep(0.002)


@pytest.fixture
def slow(tiny_recipe: dict[str, Any], tmp_path: Path) -> Path:
    return as_toml(changed(tiny_recipe, fit=SLOW, export={"quantize": "none"}), tmp_path / "recipe.toml")


def checkpoints(out: Path) -> list[Path]:
    return list((work_directory(out) / "checkpoints").glob("checkpoint-*/trainer_state.json"))


def test_a_second_run_into_the_same_place_ends_at_once(slow: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    (tmp_path / "link").symlink_to(out)
    first = subprocess.Popen(command(slow, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until(lambda: checkpoints(out), first)
    first.send_signal(signal.SIGSTOP)
    for name in ("bundle", "link"):
        second = subprocess.run(command(slow, tmp_path / name, "--overwrite"), capture_output=True, text=True)
        assert second.returncode == 73 and f"process {first.pid} on " in second.stderr, second.stderr
        assert "wait until it ends, stop it, or choose another path" in second.stderr
    first.kill()
    first.wait()
    # The lock ends with its process, and what it had done is still there.
    third = subprocess.run(command(slow, out, "--resume"), capture_output=True, text=True)
    assert third.returncode == 0 and "resuming from checkpoint-" in third.stderr, third.stderr
    assert Bundle.open(out) and not work_directory(out).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_training_without_checkpoints_leaves_nothing_and_does_not_speak_of_resume(
    slow: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out" / "bundle"
    process = subprocess.Popen(
        command(slow, out),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    until(lambda: list(work_directory(out).glob("stage-*")), process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "--resume" not in stderr and "Traceback" not in stderr, stderr
    assert list(out.parent.iterdir()) == []


def test_a_terminated_training_keeps_its_checkpoints(slow: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "bundle"
    process = subprocess.Popen(command(slow, out), stderr=subprocess.PIPE, text=True)
    until(lambda: checkpoints(out), process)
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143 and "stopped by SIGTERM; to continue, run the same command with --resume" in stderr
    assert "Traceback" not in stderr
    assert [path.name for path in out.parent.iterdir()] == ["bundle.run"]
    assert not list(work_directory(out).glob("stage-*"))


@pytest.mark.parametrize("name", ["predict", "explore", "doctor", "evaluate"])
def test_a_terminated_command_leaves_no_partial_file(name: str, linear_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\n" + "where is my parcel\n" * 300_000, "utf-8")
    bundle = str(linear_bundle.path)
    words = {
        "predict": ["predict", bundle, "-i", "in.csv", "-o", "out.csv"],
        "explore": ["explore", "sample", "--output", "page"],
        "doctor": ["doctor", "sample", "--output", "page", "--fix-plan", "plan.csv"],
        "evaluate": ["evaluate", bundle, "test", "--report", "page", "--output", "out.json", "--resamples", "100000"],
    }[name]
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "purport", *words], cwd=tmp_path, stderr=stderr)
    # It says something, or has at least begun to load what it measures with.
    until(lambda: log.stat().st_size or "sklearn" in Path(f"/proc/{process.pid}/maps").read_text("utf-8"), process)
    time.sleep(0.3)
    process.terminate()
    assert process.wait(timeout=60) == 143, log.read_text("utf-8")
    assert "Traceback" not in log.read_text("utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "log"}


def test_a_run_without_checkpoints_asks_for_nothing(tmp_path: Path) -> None:
    recipe, out = parse_recipe(LINEAR), tmp_path / "bundle"
    train(recipe, out, resume=True)  # nothing to resume is no error
    shutil.rmtree(out)
    work_directory(out).mkdir()
    # What a process that was killed leaves behind.
    (work_directory(out) / "run.json").write_text("{")
    (work_directory(out) / "lock").write_text("process 1")
    (work_directory(out) / "stage-x").mkdir()
    train(recipe, out)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.fixture
def interrupted(slow: Path, tmp_path: Path) -> Path:
    """A run with at least two checkpoints."""
    out = tmp_path / "bundle"
    process = subprocess.Popen(command(slow, out), stderr=subprocess.DEVNULL)
    until(lambda: len(checkpoints(out)) > 1, process)
    process.kill()
    process.wait()
    return out


def spoil(file: Path, how: str) -> None:
    content = file.read_bytes()
    file.write_bytes({"empty": b"", "half": content[: len(content) // 2], "noise": b"\x80noise" * 99}[how])


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(interrupted: Path) -> None:
    said: list[str] = []
    run: Any = SimpleNamespace(work=work_directory(interrupted), say=said.append)
    newest = latest_checkpoint(run)
    # The run may have been interrupted while it wrote another one.
    assert newest and said[-1] == f"resuming from {newest.name}"
    names = [file.name for file in newest.iterdir() if file.suffix in (".pt", ".pth", ".safetensors", ".json")]
    assert len(names) >= 5
    for name in names:
        for how in ("empty", "half", "noise"):
            kept = (newest / name).read_bytes()
            spoil(newest / name, how)
            said.clear()
            found = latest_checkpoint(run)
            assert found and found != newest, (name, how)
            assert any(line.startswith(f"{newest.name} is damaged") for line in said), (name, how)
            (newest / name).write_bytes(kept)
    assert latest_checkpoint(run) == newest


def test_a_damaged_run_says_what_to_do(interrupted: Path, slow: Path) -> None:
    work, recipe = work_directory(interrupted), load_recipe(slow)
    for state in checkpoints(interrupted):
        for file in state.parent.glob("*.safetensors"):
            spoil(file, "half")
    with pytest.raises(RunMismatch, match=r"no checkpoint in .* can be read; pass --overwrite without --resume"):
        train(recipe, interrupted, resume=True)
    spoil(work / "run.json", "half")
    with pytest.raises(RunMismatch, match=r"run\.json is damaged.*--overwrite without --resume"):
        train(recipe, interrupted, resume=True)
    with pytest.raises(OutputExists, match="--resume to continue it, or --overwrite to restart"):
        train(recipe, interrupted)
