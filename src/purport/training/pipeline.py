"""The training run: ``load → fit → remember → calibrate → check → promise → measure → seal``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ..bundle import Bundle, staging
from ..data import shares
from ..data.dataset import Dataset, Split
from ..data.facts import data_facts
from ..destination import Destination
from ..errors import CheckFailed
from ..evaluation.evaluate import Evaluation
from ..kinds.checks import Subject
from ..kinds.kind import Fit, Kind
from ..kinds.recipe import Recipe
from ..kinds.run import Fitted, Run
from ..model import Metered
from ..progress import SILENT, Reporter
from . import steps
from .cross_fitting import HeldOut, cross_fit, folds_of
from .recipe import load_kind
from .workspace import clear, prepare, workspace


def train(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    resume: bool = False,
    keep_run: bool = False,
    dataset: Dataset | None = None,
    also: Callable[[], Mapping[str, Evaluation]] = dict,
    reporter: Reporter = SILENT,
) -> Bundle | None:
    """Train the bundle that ``recipe`` describes, and write it to the directory ``out``, completely or not at all.

    An interrupted run leaves its checkpoints in ``<out>.run``. ``resume`` continues from them if there are any,
    ``overwrite`` deletes them; without either they are an error. Returns ``None`` in helper processes of ``torchrun``.

    ``dataset`` replaces the data that the recipe names; ``also`` makes evaluations for the bundle besides its own,
    once it is clear that the bundle can be written.

    Raises:
        DataError, RecipeError: the data or the recipe is invalid.
        DependencyMissing: the kind needs an extra that is not installed.
        OutputExists: ``out`` or an unfinished run already exists, or another process is writing ``out``.
        OutputUnwritable: no bundle can be written to ``out``; this is found before training.
        RunMismatch: ``resume``, but the unfinished run has a different recipe or different data.
        CheckFailed: the trained model did not pass a check.
        RowsTooFew, PromiseUnkept, PromiseConflict: it cannot keep what the recipe promises.
    """
    destination, kind = Destination.of(out), load_kind(recipe.kind)
    leader = int(os.environ.get("RANK", "0")) == 0
    if not leader and not kind.distributed:
        return None
    destination.require_free(overwrite=overwrite)
    # Helper processes never commit a bundle, so their files go to the system's temporary directory.
    with workspace(destination, reporter) if leader else nullcontext(Path(tempfile.gettempdir())) as base:
        fit = kind.load_fit()  # takes seconds, so that it follows all that may be wrong with the output
        dataset = dataset or steps.load(recipe, reporter)
        steps.require_promise(recipe, dataset)
        if leader:
            prepare(base, recipe, dataset, overwrite=overwrite, resume=resume)
        evaluations = also() if leader else {}
        with staging(base) as stage:
            run = _run(recipe, dataset, stage, destination.work, resume, reporter)
            fitted, written = fit(run), (Path(out), overwrite)
            bundle = None if fitted is None else _finish(run, kind, fit, fitted, dataset, written, evaluations)
        if bundle is not None and not keep_run:
            clear(base)
    return bundle


def _run(recipe: Recipe, dataset: Dataset, stage: Path, work: Path, resume: bool, reporter: Reporter) -> Run[Any]:
    return Run(
        recipe=recipe,
        labels=dataset.labels,
        train=steps.rows(dataset, "train"),
        valid=steps.rows(dataset, "valid"),
        stage=stage,
        work=work,
        resume=resume,
        reporter=reporter,
    )


def _finish(
    run: Run[Any],
    kind: Kind,
    fit: Fit,
    fitted: Fitted,
    dataset: Dataset,
    written: tuple[Path, bool],
    also: Mapping[str, Evaluation],
) -> Bundle:
    """Run all steps after ``fit``; ``written`` is where the bundle goes, and whether it may replace another one."""
    more = cross_fit(run, fit, folds_of(run, quick_kind=kind.quick))
    fitted, trained, checks = _checked(run, fitted, dataset["train"], more)
    trained, promised = steps.promise(trained, run.recipe, dataset, run.valid)
    measured = {**steps.measure_splits(trained, dataset), **also}
    if isinstance(trained.model, Metered) and trained.model.usage:
        run.say(trained.model.usage.described())
    shares.save(dataset.splits, run.stage)
    manifest = steps.describe(run, kind, fitted, trained, promised, checks, dataset, len(more) if more else 0)
    return steps.seal(run, manifest, measured, data_facts(dataset), *written)


def _checked(
    run: Run[Any], fitted: Fitted, train: Split, more: HeldOut | None
) -> tuple[Fitted, Subject, dict[str, float]]:
    """Calibrate and check the model, or the first of its fallbacks that passes."""
    while True:
        try:
            given = steps.answer(run, fitted)
            if fitted.fallback is not None:
                steps.screen(run, fitted, given)
            trained = steps.calibrate(run, fitted, given, steps.remember(run, fitted, train, given), more)
            return fitted, trained, steps.check(fitted, trained)
        except CheckFailed as failed:
            if fitted.fallback is None:
                raise
            fitted = fitted.fallback(str(failed).rpartition("; ")[0])
