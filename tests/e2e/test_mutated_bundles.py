"""A bundle from a stranger: whatever is wrong with it is a `BundleError`, soon, and without much memory."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from purport import Bundle, Classifier
from purport.bundle import commit, staging
from purport.cli.main import run
from purport.errors import BundleError
from purport.manifest import PerLabel, TaughtFacts
from purport.promise import Promised
from purport.runtime.memory import EXAMPLES_FILE, Memory
from purport.runtime.taught_vectors import TaughtVectors
from purport.serving import probe as probing
from purport.taught import Batch, Taught, TaughtExample

from .conftest import Starter
from .mutations import Case, bomb, cases, graph, manifest, seal

OLD = Path(__file__).parents[1] / "data" / "linear-format-1"

SECONDS, GROWTH_MIB = 2.0, 400
TEXT = "where is my parcel"


@pytest.fixture(scope="module")
def bundles(
    tmp_path_factory: pytest.TempPathFactory, linear_bundle: Bundle, encoder_bundle: Bundle
) -> dict[str, Bundle]:
    """Small ones with all that a bundle may have: memory, texts of examples, a promise, words, taught examples."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "linear": promising(linear_bundle, folder / "linear"),
        "encoder": encoder_bundle,
        "taught": taught(encoder_bundle, folder / "taught"),
        "old": Bundle.open(OLD),
    }


def promising(bundle: Bundle, target: Path) -> Bundle:
    """``bundle`` with a promise, and with the texts of its examples."""
    share = {"edges": (0.5,), "inside": (1, 2), "outside": (1, 1)}
    promise = Promised.model_validate(
        {"terms": [{"promise": "answered >= 0.1", "observed": 0.5, "bound": 0.2}], "certainty": 0.9, "accept_at": 0.1,
         "rows": 2, "out_of_scope_rows": 1, "answered": 0.5, "answered_at_least": 0.2, "out_of_scope_share": (0, 0.5),
         "labels": {bundle.manifest.labels[0]: {"answers": 2, "wrong": 1, "at_most": 0.9}}, "scores": share,
         "by_share": [{"share": 0.5, "at_most": 0.5}], "assumption": "none"}
    )  # fmt: skip
    decision = bundle.manifest.decision.model_copy(update={"accept_at": 0.1})
    memory = Memory.load(bundle.path, len(bundle.labels))
    assert memory is not None
    with staging(target.parent) as stage:
        shutil.copytree(bundle.path, stage, dirs_exist_ok=True)
        (stage / EXAMPLES_FILE).write_text(json.dumps([f"text {row}" for row in range(len(memory))]))
        return commit(stage, target, bundle.manifest.model_copy(update={"promise": promise, "decision": decision}))


def taught(bundle: Bundle, target: Path) -> Bundle:
    """``bundle`` with a new label, begun by teaching an example."""
    labels = (*bundle.manifest.labels, "new")
    decision = bundle.manifest.decision
    assert isinstance(decision, PerLabel)
    scores = Classifier.open(bundle).remembering()[0].score([TEXT])
    assert scores.embedding is not None
    gold = np.array([[name == "new" for name in labels]])
    with staging(target.parent) as stage:
        shutil.copytree(bundle.path, stage, dirs_exist_ok=True)
        TaughtVectors(scores.embedding, gold, np.array([0.9], dtype=np.float32), (TEXT,)).save(stage)
        example = TaughtExample(text=TEXT, labels=("new",))
        Taught(batches=(Batch(parent=bundle.manifest.id, examples=(example,), new_labels=1),)).save(stage)
        update = {
            "labels": labels,
            "decision": decision.model_copy(update={"thresholds": (*decision.thresholds, 0.5)}),
            "taught": TaughtFacts(examples=1, new_labels=1),
        }
        return commit(stage, target, bundle.manifest.model_copy(update=update))


@pytest.fixture(scope="module")
def bombed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bomb") / "bomb.npz"
    bomb(file)
    assert file.stat().st_size < 20_000_000
    return file


@pytest.fixture(scope="module")
def changed(bundles: dict[str, Bundle], bombed: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes the bundle of a case."""
    folder = tmp_path_factory.mktemp("changed")

    @contextmanager
    def make(kind: str, case: Case) -> Iterator[Path]:
        target = folder / "bundle"
        shutil.copytree(bundles[kind].path, target)
        try:
            case.change(target)
            yield target
        finally:
            shutil.rmtree(target)

    return make


def peak_mib(reset: bool = False) -> float:
    """The most memory that this process has had since the last reset, in MiB."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def outcome(call: Callable[[], object]) -> str:
    """ "opens", "refused", or what else has happened; what takes long does so twice.

    Once may be the garbage of all other tests of this process.
    """
    found = tried(call)
    return tried(call) if " after " in found else found


def tried(call: Callable[[], object]) -> str:
    """The outcome of one try."""
    before, started, worked = peak_mib(reset=True), time.monotonic(), time.process_time()
    try:
        call()
        found = "opens"
    except BundleError as error:
        found = "refused" if len(str(error)) < 1500 else f"says {len(str(error))} characters"
    except BaseException as error:
        found = f"raises {error!r}"[:300]
    # The machine may do other work as well; what must not be is work, and waiting for something.
    if (seconds := time.process_time() - worked) > SECONDS or (seconds := time.monotonic() - started) > 10 * SECONDS:
        found += f" after {seconds:.1f} s"
    if (growth := peak_mib() - before) > GROWTH_MIB:
        found += f" with {growth:.0f} MiB"
    return found


def opened(path: Path) -> None:
    classifier = Classifier.open(path)
    prediction = classifier.predict([TEXT])[0]
    json.dumps(prediction.to_dict() if hasattr(prediction, "to_dict") else str(prediction), allow_nan=False)


@pytest.fixture(scope="module")
def all_cases(bundles: dict[str, Bundle], bombed: Path) -> list[tuple[str, Case]]:
    """Each case once: for the first kind of bundle that has the field or the file."""
    found: dict[str, tuple[str, Case]] = {}
    for kind, bundle in bundles.items():
        for case in cases(bundle, bombed):
            found.setdefault(case.name, (kind, case))
    return [*found.values()]


@pytest.mark.parametrize("kind", ["linear", "encoder", "taught", "old"])
def test_every_change_is_refused_or_harmless(all_cases: list[tuple[str, Case]], changed: Any, kind: str) -> None:
    wrong, mine = [], [case for each, case in all_cases if each == kind]
    assert len(mine) > 10
    for case in mine:
        with changed(kind, case) as path:
            found = outcome(lambda: opened(path))
        if found not in {None: ("opens", "refused"), True: ("opens",), False: ("refused",)}[case.opens]:
            wrong.append(f"{case.name}: {found}")
    assert wrong == []


def test_the_command_says_so_in_a_line(
    all_cases: list[tuple[str, Case]],
    changed: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = []
    for kind, case in [each for each in all_cases if each[1].opens is False][::12]:
        with changed(kind, case) as path:
            monkeypatch.setattr(sys, "argv", ["purport", "predict", str(path), TEXT])
            with pytest.raises(SystemExit) as end:
                run()
            said = capsys.readouterr()
        if end.value.code != 65 or not said.err.startswith("error: ") or said.err.count("\n") != 1 or said.out:
            wrong.append(f"{case.name}: {end.value.code} {said.err[:300]} {said.out[:300]}")
    assert wrong == []


@pytest.mark.parametrize("ref", ["nul\0byte", "x" * 5000, "\ud800", "/dev/zero", "/dev/null/x", ""])
def test_a_name_that_no_bundle_can_have_is_not_found(ref: str) -> None:
    with pytest.raises(BundleError):
        Bundle.open(ref)


@pytest.mark.parametrize("evil", ["", "memory", "endless"])
def test_a_model_that_takes_all_memory_or_never_ends_is_tried_elsewhere(
    bundles: dict[str, Bundle], changed: Any, monkeypatch: pytest.MonkeyPatch, evil: str
) -> None:
    """Such a model is a right one in every other way."""
    monkeypatch.setattr(probing, "_SECONDS", 30.0 if evil != "endless" else 5.0)
    raw = graph(bundles["encoder"].manifest.scored, evil)

    def change(directory: Path) -> None:
        (directory / "model.onnx").write_bytes(raw)
        fields = manifest(directory)
        for name in ("memory.npz", "examples.json"):
            (directory / name).unlink(missing_ok=True)
            fields["files"].pop(name, None)
        seal(directory, fields | {"scope": None})

    others = psutil.Process().children()
    with changed("encoder", Case(evil, change)) as path:
        bundle, before = Bundle.open(path), peak_mib(reset=True)
        if evil:
            with pytest.raises(BundleError, match=r"longer than 5 seconds" if evil == "endless" else "model"):
                asyncio.run(probing.probe(bundle))
        else:
            asyncio.run(probing.probe(bundle))
        assert peak_mib() - before < GROWTH_MIB
    assert psutil.Process().children() == others, "nothing lingers"


def test_a_server_refuses_them_and_goes_on_answering_and_swapping(
    start: Starter, bundles: dict[str, Bundle], all_cases: list[tuple[str, Case]], changed: Any
) -> None:
    """Every thirty-fifth case, while a client asks; in between, a right bundle is put."""
    wrong, right = [], [bundles["linear"].path, bundles["taught"].path]
    chosen = [each for each in all_cases if each[1].opens is False][10::35]
    assert len(chosen) >= 30
    with (
        start(
            f"shop={right[0]}", PURPORT_API_KEYS="boss@classify@intent@models", PURPORT_WORKERS="1",
            PURPORT_MODELS_DIR="/",
        ) as server,
        httpx.Client(base_url=server.url, headers={"Authorization": "Bearer boss"}, timeout=30) as http,
    ):  # fmt: skip
        workers = server.workers()
        for number, (kind, case) in enumerate(chosen):
            with changed(kind, case) as path:
                put = http.put("/v1/models/shop", json={"bundle": str(path)})
            asked = http.post("/intent", json={"text": f"{TEXT} {number}"})
            if put.status_code != 409 or put.json()["label"] != "BUNDLE_INVALID" or asked.status_code != 200:
                wrong.append(f"{case.name}: {put.status_code} {put.text[:300]} {asked.status_code}")
            if put.elapsed.total_seconds() > 10 * SECONDS:
                wrong.append(f"{case.name}: {put.elapsed.total_seconds():.1f} s")
            if number % 10 == 0:
                swapped = http.put("/v1/models/shop", json={"bundle": str(right[number // 10 % 2])})
                assert swapped.status_code == 200, swapped.text
        assert server.workers() == workers, "no worker was lost, and no process lingers"
    assert wrong == []
