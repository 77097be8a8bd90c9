"""Where an unfinished run lives: checkpoints and logs beside the bundle to be, and what they belong to."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..bundle import STAGE
from ..data.dataset import Dataset
from ..errors import OutputExists, RunMismatch
from ..files import write_text
from ..kinds.recipe import Recipe

_MARKER = "run.json"


def work_directory(out: Path) -> Path:
    """Where the checkpoints and logs of the run that makes ``out`` are kept."""
    return out.with_name(out.name + ".run")


def identity(recipe: Recipe, dataset: Dataset) -> str:
    """A checksum of all that a checkpoint rests on: recipe, training and validation data, parent bundles.

    Thresholds, export and test split do not matter to a checkpoint: they may change between attempts.
    """
    described = recipe.model_dump_json(exclude={"decide": True, "export": True, "data": {"test"}})
    prints = [dataset[name].fingerprint for name in ("train", "valid")]
    return hashlib.sha256("\x1f".join([described, *prints, *recipe.parents()]).encode()).hexdigest()


def prepare(work: Path, recipe: Recipe, dataset: Dataset, *, overwrite: bool, resume: bool) -> None:
    """Make or reopen the directory ``work``.

    Raises:
        OutputExists: it holds an unfinished run, or something else.
        RunMismatch: ``resume``, but the run in it is of another recipe, other data or another teacher.
    """
    marker = work / _MARKER
    if work.exists() and not marker.is_file() and any(work.iterdir()):
        raise OutputExists(f"{work} exists and holds no training run; move it away, checkpoints would go there")
    if marker.is_file() and resume:
        if json.loads(marker.read_text("utf-8"))["identity"] != identity(recipe, dataset):
            raise RunMismatch(
                f"the unfinished run in {work} has another recipe, other data or another teacher; "
                "resume it with its own recipe, or pass --overwrite without --resume to start afresh"
            )
        for stage in work.glob(f"{STAGE}*"):
            shutil.rmtree(stage, ignore_errors=True)
        return
    if marker.is_file() and not overwrite:
        raise OutputExists(f"an unfinished run is in {work}: pass --resume to go on, or --overwrite to start afresh")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    content = {"identity": identity(recipe, dataset), "recipe": recipe.model_dump(mode="json")}
    write_text(marker, json.dumps(content))


@contextmanager
def tidy(work: Path) -> Iterator[None]:
    """A run that failed before its first checkpoint has nothing to go on with: leave nothing of it."""
    try:
        yield
    except BaseException:
        if not any((work / "checkpoints").glob("checkpoint-*")):
            shutil.rmtree(work, ignore_errors=True)
        raise
