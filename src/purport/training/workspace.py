"""The directory of an unfinished run: checkpoints and logs next to the bundle, and what they belong to."""

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
    """The directory for checkpoints and logs of the run that makes ``out``."""
    return out.with_name(out.name + ".run")


def identity(recipe: Recipe, dataset: Dataset) -> str:
    """A checksum of everything a checkpoint depends on: recipe, training and validation data, parent bundles.

    Thresholds, export and test split do not affect a checkpoint, so they may change between attempts.
    """
    described = recipe.model_dump_json(exclude={"decide": True, "export": True, "data": {"test"}})
    prints = [dataset[name].fingerprint for name in ("train", "valid")]
    return hashlib.sha256("\x1f".join([described, *prints, *recipe.parents()]).encode()).hexdigest()


def prepare(work: Path, recipe: Recipe, dataset: Dataset, *, overwrite: bool, resume: bool) -> None:
    """Create or reopen the directory ``work``.

    Raises:
        OutputExists: it contains an unfinished run, or something else.
        RunMismatch: ``resume``, but the run in it has a different recipe, different data or a different teacher.
    """
    marker = work / _MARKER
    if work.exists() and not marker.is_file() and any(work.iterdir()):
        raise OutputExists(f"{work} is needed for checkpoints, but contains something else; move it away")
    if marker.is_file() and resume:
        if json.loads(marker.read_text("utf-8"))["identity"] != identity(recipe, dataset):
            raise RunMismatch(
                f"the unfinished run in {work} has a different recipe, different data or a different teacher; "
                "resume it with its own recipe, or pass --overwrite without --resume to start again"
            )
        for stage in work.glob(f"{STAGE}*"):
            shutil.rmtree(stage, ignore_errors=True)
        return
    if marker.is_file() and not overwrite:
        raise OutputExists(
            f"{work} contains an unfinished run; pass --resume to continue it, or --overwrite to restart"
        )
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    content = {"identity": identity(recipe, dataset), "recipe": recipe.model_dump(mode="json")}
    write_text(marker, json.dumps(content))


@contextmanager
def tidy(work: Path) -> Iterator[None]:
    """Delete ``work`` if the run fails before its first checkpoint, as nothing could be resumed."""
    try:
        yield
    except BaseException:
        if not any((work / "checkpoints").glob("checkpoint-*")):
            shutil.rmtree(work, ignore_errors=True)
        raise
