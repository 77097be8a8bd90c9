"""The directory of an unfinished run: checkpoints and logs next to the bundle, and what they belong to."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..data.dataset import Dataset
from ..destination import LOCK, Destination
from ..errors import OutputExists, OutputUnwritable, RunMismatch
from ..files import write_text
from ..kinds.recipe import Recipe
from ..locks import Locked, lock
from ..progress import Line, Reporter

_MARKER = "run.json"
# Checkpoints and the exported models of the packaged encoder take less.
_ROOM = 500_000_000


def work_directory(out: Path) -> Path:
    """The directory for checkpoints and logs of the run that makes ``out``."""
    return Destination.of(out).work


@contextmanager
def workspace(destination: Destination, reporter: Reporter) -> Iterator[Path]:
    """The work directory, locked against other runs, and without an old bundle that a killed run left in it.

    It is deleted if the block fails before its first checkpoint, as nothing could be resumed.

    Raises:
        OutputExists: another process is writing this bundle, or the directory is not one of ours.
        OutputUnwritable: nothing can be written there.
    """
    work = destination.work
    if work.is_dir() and not (work / _MARKER).is_file() and _content(work):
        raise OutputExists(f"{work} is needed for checkpoints, but contains something else; move it away")
    destination.create_work()
    try:
        with lock(work / LOCK) as supported:
            destination.restore()
            _warn(destination, supported, reporter)
            try:
                yield work
            except BaseException:
                if not has_checkpoint(work):
                    clear(work)
                raise
    except Locked as error:
        raise OutputExists(
            f"{destination.path} is being written by {error}; wait until it ends, stop it, or choose another path"
        ) from None
    finally:
        with suppress(OSError):  # there are checkpoints, or the run of another process
            work.rmdir()


def _warn(destination: Destination, locks: bool, reporter: Reporter) -> None:
    if not locks:
        reporter.emit(Line(f"warning: {destination.work} cannot be locked; do not start another run there"))
    if (room := destination.room()) < _ROOM:
        reporter.emit(
            Line(
                f"warning: only {room / 1e6:,.0f} MB are free at {destination.work}; training an encoder needs about "
                f"{_ROOM / 1e6:,.0f} MB"
            )
        )


def identity(recipe: Recipe, dataset: Dataset) -> str:
    """A checksum of everything a checkpoint depends on: recipe, training and validation data, parent bundles.

    Thresholds, promises, export and the splits for test and calibration do not affect a checkpoint, so they may change
    between attempts.
    """
    described = recipe.model_dump_json(exclude={"decide": True, "export": True, "data": {"test", "calibration"}})
    prints = [dataset[name].fingerprint for name in ("train", "valid")]
    return hashlib.sha256("\x1f".join([described, *prints, *recipe.parents()]).encode()).hexdigest()


def prepare(work: Path, recipe: Recipe, dataset: Dataset, *, overwrite: bool, resume: bool) -> None:
    """Keep the checkpoints in ``work`` if they are to be resumed, and otherwise empty it.

    Raises:
        OutputExists: it contains checkpoints, and neither ``overwrite`` nor ``resume`` is given.
        RunMismatch: ``resume``, but the run in it has a different recipe, different data or a different teacher.
    """
    if has_checkpoint(work):
        if resume:
            _require_same(work, identity(recipe, dataset))
            clear(work, keep=(_MARKER, "checkpoints", "tensorboard"))
            return
        if not overwrite:
            raise OutputExists(
                f"{work} contains an unfinished run; pass --resume to continue it, or --overwrite to restart"
            )
    clear(work)
    content = {"identity": identity(recipe, dataset), "recipe": recipe.model_dump(mode="json")}
    write_text(work / _MARKER, json.dumps(content))


def claim(work: Path) -> None:
    """Empty ``work`` and mark it as ours, for something that is not resumed; what a training can resume from stays."""
    if not has_checkpoint(work):
        clear(work)
        write_text(work / _MARKER, "{}")


def release(work: Path) -> None:
    """Empty ``work`` unless a training can be resumed from it."""
    if not has_checkpoint(work):
        clear(work)


def _require_same(work: Path, expected: str) -> None:
    remedy = "pass --overwrite without --resume to start again"
    try:
        found = json.loads((work / _MARKER).read_text("utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunMismatch(f"{work / _MARKER} is damaged, so its run cannot be resumed; {remedy}") from None
    if found != expected:
        raise RunMismatch(
            f"the unfinished run in {work} has a different recipe, different data or a different teacher; "
            f"resume it with its own recipe, or {remedy}"
        )


def has_checkpoint(work: Path) -> bool:
    """Whether something in ``work`` can be resumed."""
    return any((work / "checkpoints").glob("checkpoint-*"))


def clear(work: Path, keep: tuple[str, ...] = ()) -> None:
    """Delete what is in ``work``, except the lock and what to ``keep``."""
    # The marker last: a directory without it is not known as one of ours.
    for child in sorted(_content(work), key=lambda child: child.name == _MARKER):
        if child.name in keep:
            continue
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child, ignore_errors=True)
        else:
            child.unlink(missing_ok=True)


def _content(work: Path) -> list[Path]:
    try:
        return [child for child in work.iterdir() if child.name != LOCK]
    except OSError as error:
        raise OutputUnwritable(f"cannot read {work}: {error.strerror}; choose another path") from None
