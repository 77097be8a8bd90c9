"""The training run: data, trainer, calibration, gates, evaluation, bundle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__, registry
from ..bundle import STAGE, Bundle, Calibration, Decision, Manifest, Provenance, commit, require_free, staging
from ..classifier import Classifier
from ..data.dataset import Dataset
from ..data.download import Progress
from ..data.facts import data_facts
from ..errors import DependencyMissing, OutputExists, RunMismatch
from ..evaluation.evaluate import Evaluation, evaluate
from ..files import write_text
from ..labels import Task
from ..runtime.calibration import fit_temperature, probabilities
from ..runtime.decision import decide, fit_thresholds
from .card import model_card
from .gates import check_agreement, check_independence
from .recipe import Decide, Recipe
from .run import Fitted, Report, Rows, Run
from .source import load_data

_MARKER = "run.json"
_LIBRARIES = ("numpy", "onnxruntime", "tokenizers", "scikit-learn", "torch", "transformers", "peft", "onnx")


def work_directory(out: Path) -> Path:
    """Where the checkpoints and logs of the run that makes ``out`` are kept."""
    return out.with_name(out.name + ".run")


def train(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    resume: bool = False,
    keep_run: bool = False,
    report: Report | None = None,
    interactive: bool = False,
) -> Bundle | None:
    """Train the bundle that ``recipe`` describes and write it to the directory ``out``, whole or not at all.

    An interrupted run leaves its checkpoints in ``<out>.run``; ``resume`` goes on from there, otherwise they
    are an error unless ``overwrite`` throws them away. Returns ``None`` in helper processes of ``torchrun``.

    Raises:
        DataError, RecipeError: the data or the recipe does not fit.
        OutputExists: ``out`` or an unfinished run is there already.
        RunMismatch: ``resume``, but the unfinished run is of another recipe or other data.
        GateFailed: the exported model is not the trained one.
    """
    target, report = Path(out), report or (lambda line: None)
    leader = int(os.environ.get("RANK", "0")) == 0
    require_free(target, overwrite=overwrite)
    dataset = load_data(recipe, _downloads(report))
    report(_describe(dataset))
    work = work_directory(target)
    if leader:
        _prepare(work, recipe, dataset, overwrite=overwrite, resume=resume)
    trainer = registry.load("trainers", recipe.kind)()
    train_rows, valid_rows = _rows(dataset, "train"), _rows(dataset, "valid")
    # Helper processes never commit: what they write goes to the system's temporary directory.
    with _tidy(work), staging(work if leader else Path(tempfile.gettempdir())) as stage:
        run = Run(
            recipe=recipe,
            labels=dataset.labels,
            train=train_rows,
            valid=valid_rows,
            stage=stage,
            work=work,
            resume=resume,
            report=report,
            interactive=interactive,
        )
        try:
            fitted: Fitted | None = trainer.fit(run)
        except ModuleNotFoundError as error:
            raise DependencyMissing(f"training ({error.name})", "train") from None
        if fitted is None:
            return None
        bundle = _finish(run, fitted, dataset, target, overwrite)
    if not keep_run:
        shutil.rmtree(work, ignore_errors=True)
    return bundle


def _downloads(report: Report) -> Progress:
    def progress(url: str, done: int, total: int | None) -> None:
        if done == total:
            report(f"downloaded {url}, {done / 1e6:.1f} MB")

    return progress


def _finish(run: Run[Any], fitted: Fitted, dataset: Dataset, target: Path, overwrite: bool) -> Bundle:
    recipe = run.recipe
    calibration = Calibration()
    if recipe.decide.calibration == "temperature":
        calibration = fit_temperature(fitted.valid_logits, run.valid.gold, recipe.task)
    decision = _fit_decision(recipe.decide, fitted, run, calibration)
    decided = decide(probabilities(fitted.valid_logits, recipe.task, calibration), recipe.task, decision)
    if not decided.any():
        run.report(
            "warning: the model decides no label on any validation row, it has learnt nothing; "
            "lower the learning rate or train longer"
        )
    gates: dict[str, float] = {}
    if fitted.reference_logits is not None:
        gates |= check_agreement(fitted, recipe.task, calibration, decision, run.report)
    gates |= check_independence(fitted, run, calibration, decision)
    manifest = Manifest(
        kind=recipe.kind,
        task=recipe.task,
        labels=run.labels.names,
        model=dict(fitted.model),
        calibration=calibration,
        decision=decision,
        provenance=Provenance(
            dataset=dataset.name,
            fingerprint=dataset.fingerprint,
            rows={name: len(split) for name, split in dataset.splits.items()},
        ),
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        versions=_versions(),
        gates=gates,
    )
    classifier = Classifier(Bundle(run.stage, manifest), fitted.scorer)
    measured: dict[str, Evaluation] = {}
    for name in ("valid", "test"):
        if name in dataset.splits:
            run.report(f"measuring on {name}")
            measured[name] = evaluate(classifier, dataset[name], dataset=dataset.name, seed=recipe.seed)
    # The bundle's id is a checksum over this file too, so it cannot stand in it.
    document = {name: evaluation.model_dump(mode="json", exclude={"bundle"}) for name, evaluation in measured.items()}
    (run.stage / "evaluation.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    facts = data_facts(dataset)
    (run.stage / "data.json").write_text(facts.model_dump_json(indent=1) + "\n", "utf-8")
    (run.stage / "README.md").write_text(model_card(manifest, facts, measured), "utf-8")
    return commit(run.stage, target, manifest, overwrite=overwrite)


def _fit_decision(decide: Decide, fitted: Fitted, run: Run[Any], calibration: Calibration) -> Decision:
    if run.recipe.task is Task.MULTICLASS:
        return Decision(reject_below=decide.reject_below)
    if decide.thresholds == "fixed":
        return Decision(thresholds=(decide.threshold,) * len(run.labels))
    proba = probabilities(fitted.valid_logits, run.recipe.task, calibration)
    return Decision(thresholds=fit_thresholds(proba, run.valid.gold, min_gain=decide.min_gain))


def _rows(dataset: Dataset, name: str) -> Rows:
    split = dataset[name]
    return Rows(list(split.texts), dataset.labels.encode(split.gold))


def _describe(dataset: Dataset) -> str:
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    lines = [f"{dataset.name}: {sizes}, {len(dataset.labels)} labels"]
    for name in dataset.splits:
        for label, count in dataset.unseen(name).items():
            lines.append(f'  label "{label}" ({count} rows of {name}) is never in train: these rows count as errors')
    return "\n".join(lines)


def _prepare(work: Path, recipe: Recipe, dataset: Dataset, *, overwrite: bool, resume: bool) -> None:
    """Make or reopen the work directory; what it belongs to is written in it.

    Thresholds, export and test split do not matter to a checkpoint: they may change between attempts.
    """
    described = recipe.model_dump_json(exclude={"decide": True, "export": True, "data": {"test"}})
    prints = [dataset[name].fingerprint for name in ("train", "valid")]
    identity = hashlib.sha256("\x1f".join([described, *prints]).encode()).hexdigest()
    marker = work / _MARKER
    if work.exists() and not marker.is_file() and any(work.iterdir()):
        raise OutputExists(f"{work} exists and holds no training run; move it away, checkpoints would go there")
    if marker.is_file() and resume:
        if json.loads(marker.read_text("utf-8"))["identity"] != identity:
            raise RunMismatch(
                f"the unfinished run in {work} has another recipe or other data; "
                "resume it with its own recipe, or pass --overwrite without --resume to start afresh"
            )
        for stage in work.glob(f"{STAGE}*"):
            shutil.rmtree(stage, ignore_errors=True)
        return
    if marker.is_file() and not overwrite:
        raise OutputExists(f"an unfinished run is in {work}: pass --resume to go on, or --overwrite to start afresh")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    write_text(marker, json.dumps({"identity": identity, "recipe": recipe.model_dump(mode="json")}))


@contextmanager
def _tidy(work: Path) -> Iterator[None]:
    """A run that failed before its first checkpoint has nothing to go on with: leave nothing of it."""
    try:
        yield
    except BaseException:
        if not any((work / "checkpoints").glob("checkpoint-*")):
            shutil.rmtree(work, ignore_errors=True)
        raise


def _versions() -> dict[str, str]:
    found = {"purport": __version__}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
