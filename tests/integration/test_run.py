"""One training run: what it reads, how often it asks, what it leaves as it was, and who may commit."""

from __future__ import annotations

import logging
import os
import random
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purport import Bundle, Classifier
from purport.data.formats import BadRow, Layout, Row, read_rows
from purport.errors import DependencyMissing, RecipeError, RunMismatch, TrainingError
from purport.kinds.kind import Kind
from purport.kinds.linear.model import LinearScorer
from purport.kinds.recipe import Recipe
from purport.progress import Metric, Progress
from purport.runtime.memory import Memory
from purport.testing import Recorder
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.training.workspace import work_directory

from ..conftest import SAMPLE

LINEAR: dict[str, Any] = {"kind": "linear", "task": "multilabel", "data": dict(SAMPLE)}


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Three splits."""
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = "".join(f"where is parcel {n}\ttrack\ncancel order {n}\tcancel\n" for n in range(20))
    for split in ("train", "valid", "test"):
        (folder / f"{split}.tsv").write_text(rows, "utf-8")
    return folder


@pytest.mark.parametrize("valid", ["valid", 0.25])
def test_each_split_is_read_once(tables: Path, valid: str | float, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()

    def counting(path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        read[path.name] += 1
        return read_rows(path, layout)

    monkeypatch.setattr("purport.data.dataset.read_rows", counting)
    recipe = {"kind": "linear", "task": "multilabel", "data": {"name": str(tables), "valid": valid, "test": "test"}}
    assert train(parse_recipe(recipe), tables.parent / "bundle")
    wanted = {"train.tsv", "test.tsv"} | ({"valid.tsv"} if valid == "valid" else set())
    assert Counter(wanted) == read, "a file was read again"


def test_validation_texts_are_scored_once_and_once_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    score = LinearScorer.score

    def counting(self: LinearScorer, texts: Any) -> Any:
        asked.append(len(texts))
        return score(self, texts)

    monkeypatch.setattr(LinearScorer, "score", counting)
    bundle = train(parse_recipe(LINEAR | {"decide": {"cross_fit": 0}}), tmp_path / "bundle")
    assert bundle is not None
    rows, memory = bundle.manifest.provenance.rows, Memory.load(bundle.path, len(bundle.labels))
    assert memory is not None
    assert sum(asked) == len(memory) + rows["valid"] + rows["valid"] + rows["test"]
    assert asked.count(1) >= rows["valid"], "the second time each text is alone"


def state() -> dict[str, Any]:
    """What a library call must leave as it was."""
    import torch
    from transformers.utils import logging as library

    return {
        "environment": dict(os.environ),
        "filters": list(warnings.filters),
        "python": random.getstate(),
        "numpy": tuple(np.random.get_state()[1]),  # type: ignore[arg-type]
        "torch": tuple(torch.random.get_rng_state().tolist()),
        "verbosity": library.get_verbosity(),
        "bars": library.is_progress_bar_enabled(),
        "onnx": logging.getLogger("torch.onnx").level,
        "threads": torch.get_num_threads(),
        "default": torch.get_default_dtype(),
    }


def test_fitting_changes_nothing_in_the_process(tiny_recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe = tiny_recipe | {"export": {"quantize": "none"}}
    recipe["fit"] = tiny_recipe["fit"] | {"epochs": 0.1}
    train(parse_recipe(recipe), tmp_path / "first")  # what libraries do once, on their first use
    before, alive = state(), threading.active_count()
    train(parse_recipe(recipe), tmp_path / "second")
    after = state()
    assert [name for name in before if before[name] != after[name]] == []
    assert threading.active_count() <= alive


@pytest.mark.parametrize("kind", ["linear", "distilled"])
def test_only_the_first_process_of_a_launcher_trains_what_is_not_distributed(
    kind: str, encoder_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = LINEAR | {"kind": kind}
    if kind == "distilled":
        recipe |= {"teacher": {"bundle": str(encoder_bundle.path), "layers": [1]}, "fit": {"steps": 2}}
    monkeypatch.setenv("RANK", "1")
    assert train(parse_recipe(recipe), tmp_path / "bundle") is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_tells_its_progress_and_its_metrics(
    tiny_recipe: dict[str, Any], tmp_path: Path, recorder: Recorder
) -> None:
    train(parse_recipe(tiny_recipe | {"export": {"quantize": "none"}}), tmp_path / "bundle", reporter=recorder)
    steps = [event for event in recorder.events if isinstance(event, Progress) and event.what == "training"]
    assert [step.done for step in steps] == list(range(1, (steps[-1].total or 0) + 1))
    metrics = {event.name for event in recorder.events if isinstance(event, Metric)}
    assert {"loss", "valid_f1_micro", "valid_exact_match"} <= metrics


def test_a_run_belongs_to_its_teacher(encoder_bundle: Bundle, linear_bundle: Bundle, tmp_path: Path) -> None:
    import shutil

    from purport.kinds.distilled import fit as distil

    teacher = tmp_path / "teacher"
    shutil.copytree(encoder_bundle.path, teacher)
    recipe = LINEAR | {
        "kind": "distilled",
        "teacher": {"bundle": str(teacher), "layers": [1]},
        "fit": {"steps": 4, "save_steps": 2, "batch_size": 4},
        "export": {"quantize": "none"},
    }
    save = distil._save

    def interrupt(*arguments: Any) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(distil, "_save", interrupt)
        train(parse_recipe(recipe), tmp_path / "bundle")
    assert work_directory(tmp_path / "bundle").is_dir()
    shutil.rmtree(teacher)
    shutil.copytree(linear_bundle.path, teacher)
    with pytest.raises(RunMismatch, match="a different teacher"):
        train(parse_recipe(recipe), tmp_path / "bundle", resume=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_student_learns_in_the_precision_that_its_recipe_names(
    precision: str, encoder_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    seen: list[tuple[str, torch.dtype, bool]] = []
    autocast = torch.autocast

    def watching(device: str, dtype: torch.dtype, *, enabled: bool) -> Any:
        seen.append((device, dtype, enabled))
        return autocast(device, dtype, enabled=enabled)

    monkeypatch.setattr(torch, "autocast", watching)
    recipe = LINEAR | {
        "kind": "distilled",
        "teacher": {"bundle": str(encoder_bundle.path), "layers": [1]},
        "fit": {"steps": 2, "batch_size": 4, "precision": precision},
        "export": {"quantize": "none"},
    }
    assert train(parse_recipe(recipe), tmp_path / "bundle")
    assert set(seen) == {("cpu", torch.bfloat16, precision == "bf16")}


def test_a_student_is_not_taught_in_fp16_without_a_gpu(encoder_bundle: Bundle, tmp_path: Path) -> None:
    recipe = LINEAR | {"kind": "distilled", "teacher": {"bundle": str(encoder_bundle.path), "layers": [1]}}
    with pytest.raises(RecipeError, match="fp16 needs a GPU"):
        train(parse_recipe(recipe | {"fit": {"precision": "fp16"}}), tmp_path / "bundle")


@pytest.mark.parametrize(
    ("task", "decide", "said"),
    [
        ("multilabel", {"reject_below": 0.5}, "decide.reject_below is only for multiclass"),
        ("multiclass", {"thresholds": "fixed"}, "decide.thresholds is only for multilabel"),
    ],
)
def test_a_decision_that_the_task_does_not_know_is_an_error(task: str, decide: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(LINEAR | {"task": task, "decide": decide})


def test_the_card_of_a_model_with_nothing_fitted_says_so(tmp_path: Path) -> None:
    decide = {"calibration": "none", "thresholds": "fixed", "threshold": 0.3}
    bundle = train(parse_recipe(LINEAR | {"decide": decide}), tmp_path / "bundle")
    assert bundle is not None and bundle.manifest.calibration.method == "none"
    card = (bundle.path / "README.md").read_text("utf-8")
    assert (
        "every label with a probability of at least 0.3 (set in the recipe)" in card and "**Calibration**: none" in card
    )
    assert Classifier.open(bundle).predict_proba(["x"]).dtype == np.float32


def failing(run: Any) -> None:
    raise ModuleNotFoundError("No module named 'their_own'", name="their_own")


def test_a_module_that_a_fit_misses_is_not_blamed_on_an_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="their_own"):
        Kind(Recipe, fit=failing, opener="x", extra="train").load_fit()(None)  # type: ignore[arg-type]
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        Kind(Recipe, fit="nowhere.fit:fit", opener="x", extra="train").load_fit()


def test_a_library_that_an_extra_brings_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_fit.py").write_text("import a_heavy_library\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DependencyMissing, match=r"a_heavy_library.*pip install .*\[train\]"):
        Kind(Recipe, fit="their_fit:fit", opener="x", extra="train").load_fit()


@pytest.mark.parametrize(
    ("columns", "rows", "dtype", "value", "said"),
    [
        (17, 0, np.float32, 0.5, "shape"),
        (18, -1, np.float32, 0.5, "rows for 143"),
        (18, 0, np.float64, 0.5, "float64"),
        (18, 0, np.float32, 7.0, "between 0 and 1"),
        (18, 0, np.float32, np.nan, "between 0 and 1"),
    ],
)
def test_a_kind_that_answers_what_no_model_may_is_stopped(
    columns: int, rows: int, dtype: Any, value: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dictionary import DictionaryModel

    from purport.model import Answers

    def answer(self: Any, texts: Any) -> Answers:
        n = max(0, len(texts) + rows)
        proba = np.full((n, columns), value, dtype=dtype)
        return Answers(proba, np.zeros(n, dtype=np.float32), np.zeros(n, dtype=np.bool_))

    monkeypatch.setattr(DictionaryModel, "answer", answer)
    with pytest.raises(TrainingError, match=said):
        train(parse_recipe(LINEAR | {"kind": "dictionary"}), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_teacher_whose_decision_is_not_allowed_any_more_still_teaches(
    encoder_bundle: Bundle, tmp_path: Path
) -> None:  # fmt: skip
    import shutil

    teacher = tmp_path / "teacher"
    shutil.copytree(encoder_bundle.path, teacher)
    manifest = encoder_bundle.manifest
    recipe = {**manifest.recipe, "decide": {"reject_below": 0.2}}
    (teacher / "manifest.json").write_bytes(manifest.model_copy(update={"recipe": recipe}).sealed().to_bytes())
    taught = LINEAR | {
        "kind": "distilled",
        "teacher": {"bundle": str(teacher), "layers": [1]},
        "fit": {"steps": 2, "batch_size": 4},
        "export": {"quantize": "none"},
    }
    assert train(parse_recipe(taught), tmp_path / "bundle")
