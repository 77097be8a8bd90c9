"""Finds the checkpoint to resume from, and tells a damaged one before it is loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.trainer_callback import TrainerState

from ...errors import RunMismatch
from ..run import Run

_STATE = "trainer_state.json"


def latest_checkpoint(run: Run[Any]) -> Path | None:
    """The last checkpoint of ``run`` that can be read, or ``None`` if none was completed.

    Raises:
        RunMismatch: all that were completed are damaged.
    """
    found = list((run.work / "checkpoints").glob("checkpoint-*"))
    damaged = False
    for checkpoint in sorted(found, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        if not (checkpoint / _STATE).is_file():  # it is written last
            continue
        problem = _problem(checkpoint)
        if not problem:
            run.say(f"resuming from {checkpoint.name}")
            return checkpoint
        damaged = True
        run.say(f"{checkpoint.name} is damaged: {problem}")
    if damaged:
        raise RunMismatch(
            f"no checkpoint in {run.work / 'checkpoints'} can be read; pass --overwrite without --resume to start again"
        )
    run.say("no checkpoint is complete yet, so training starts at the beginning")
    return None


def _problem(checkpoint: Path) -> str:
    """What is wrong with ``checkpoint``; empty if nothing is."""
    try:
        best = TrainerState.load_from_json(str(checkpoint / _STATE)).best_model_checkpoint
        _read(checkpoint)
        if best:
            _read(Path(best))
    except (OSError, ValueError, TypeError, AttributeError, SafetensorError, zipfile.BadZipFile) as error:
        return str(error) or type(error).__name__
    return ""


def _read(checkpoint: Path) -> None:
    """Read all saved tensors: those of PyTorch are zip files with checksums, and ``safetensors`` checks sizes."""
    weights = list(checkpoint.glob("*.safetensors"))
    archives = [*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")]
    if not weights and not archives:
        raise FileNotFoundError(f"{checkpoint} has no weights")
    for file in weights:
        with safe_open(file, framework="np"):
            pass
    for file in archives:
        with zipfile.ZipFile(file) as archive:
            if bad := archive.testzip():
                raise zipfile.BadZipFile(f"{file.name} is damaged at {bad}")
