"""The steps of a training run except fitting; each uses the results of the steps before it.

``load → fit → remember → calibrate → check → promise → measure → seal``; :mod:`.pipeline` runs them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..bundle import PARTS, Bundle, commit
from ..data.dataset import Dataset, Split
from ..data.facts import DataFacts
from ..data.shares import fingerprints
from ..errors import DataError, TrainingError
from ..evaluation.evaluate import FILE, Evaluation, measure, of_answers
from ..evaluation.sentences import calibration_warnings
from ..kinds.checks import Subject
from ..kinds.kind import Kind
from ..kinds.recipe import Recipe
from ..kinds.run import Fitted, Rows, Run
from ..labels import Task, too_many
from ..manifest import Calibration, Manifest, Provenance, Scope, Uncalibrated
from ..model import Answers, Model
from ..progress import SILENT, Line, Progress, Reporter
from ..promise import Promised
from ..runtime.asking import FoundT, ask, joined, rows_of
from ..runtime.calibration import Calibrated, Scorer, Scores
from ..runtime.decision import decide
from ..runtime.memory import Memory
from ..wording import count
from .card import model_card
from .cross_fitting import HeldOut
from .deciding import better_decision, fit_decision
from .enough import lopsided, require_rows
from .fitting import fit_temperature
from .promising import fit_promise
from .scoping import fit_scope

_BATCH = 32
_LIBRARIES = ("numpy", "onnxruntime", "tokenizers", "scikit-learn", "torch", "transformers", "peft", "onnx")


def load(recipe: Recipe, reporter: Reporter) -> Dataset:
    """Step ``load``: the splits of ``recipe``, each read once.

    Raises:
        DataError: the data cannot be read or does not fit the recipe, or has more labels than a bundle may have.
    """
    dataset = recipe.data.load(recipe.task, recipe.seed, reporter)
    if why := too_many(dataset.labels.names):
        raise DataError(f"{dataset.name}: {why}")
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in dataset.splits.items())
    reporter.emit(Line(f"{dataset.name}: {sizes}, {len(dataset.labels)} labels"))
    if recipe.task is Task.MULTILABEL and all(len(labels) <= 1 for labels in dataset["train"].gold):
        reporter.emit(
            Line(
                'warning: no row has several labels, so that task = "multiclass" fits better: a model that decides '
                "each label on its own gets fewer of such rows exactly right"
            )
        )
    if said := lopsided(dataset["train"].gold):
        reporter.emit(Line(f"warning: {said}"))
    for name in dataset.splits:
        for label, number in dataset.unseen(name).items():
            reporter.emit(
                Line(f'  label "{label}" ({count(number, "row")} of {name}) is not in train, which counts as an error')
            )
    return dataset


def rows(dataset: Dataset, name: str) -> Rows:
    """A split in the form that kinds use. Only training rows have weights: whatever is measured counts rows alike."""
    split = dataset[name]
    given = [example.weight for example in split] if name == "train" else []
    weights = np.array(given, dtype=np.float32) if any(weight != 1 for weight in given) else None
    return Rows(list(split.texts), dataset.labels.encode(split.gold), weights)


def answer(run: Run[Any], fitted: Fitted) -> Scores | Answers:
    """What the deployed form makes of the validation rows, each asked once.

    In random batches, so that the checks can detect an influence of the other texts in a batch.
    """
    order = np.random.default_rng(run.recipe.seed).permutation(len(run.valid))
    texts, back = [run.valid.texts[row] for row in order.tolist()], np.argsort(order)
    if isinstance(fitted.model, Scorer):
        return rows_of(_ask(fitted.model, fitted.model.score, texts, run.reporter, size=_BATCH), back)
    return rows_of(_ask(fitted.model, fitted.model.answer, texts, run.reporter, size=_BATCH), back)


def _ask(
    model: Scorer | Model,
    call: Callable[[Sequence[str]], FoundT],
    texts: Sequence[str],
    reporter: Reporter,
    size: int | None = None,
) -> FoundT:
    """What the ``call`` of a kind's ``model`` gives for all ``texts``."""
    found = ask(call, texts, reporter, size=size or model.traits.max_batch)
    held = {field.name: getattr(found, field.name) for field in fields(found)}
    counts = {name: len(values) for name, values in held.items() if values is not None and len(values)}
    if set(counts.values()) - {len(texts)}:
        raise TrainingError(
            f"the model returned {', '.join(f'{n} {name}' for name, n in counts.items())} rows for {len(texts)} texts; "
            "correct the kind's model"
        )
    return found


def remember(run: Run[Any], fitted: Fitted, train: Split, given: Scores | Answers) -> Memory | None:
    """Step ``remember``: the rows of ``train`` with a label as the deployed form sees them.

    ``None`` if it is no scorer with embeddings, as ``given`` shows, what it makes of the validation rows.
    """
    if not isinstance(fitted.model, Scorer) or given.embedding is None:
        return None
    run.reporter.emit(Progress("remembering the training examples"))
    labelled = np.flatnonzero(run.train.gold.any(axis=1))
    texts = [run.train.texts[row] for row in labelled.tolist()]
    embedding = _ask(fitted.model, fitted.model.score, texts, run.reporter).embedding
    assert embedding is not None, "a scorer has embeddings of all texts or of none"
    kept = texts if run.recipe.data.keep_examples else None
    prints, numbers = fingerprints(train), np.array([example.row for example in train], dtype=np.int64)
    memory = Memory.of(embedding, run.train.gold[labelled], prints[labelled], kept, numbers[labelled])
    memory.save(run.stage)
    return memory


def calibrate(
    run: Run[Any], fitted: Fitted, given: Scores | Answers, memory: Memory | None = None, more: HeldOut | None = None
) -> Subject:
    """Step ``calibrate``: fit calibration, scope and decision to what was ``given`` for the validation rows.

    ``more`` are rows of the training split, from models that did not see them, which then count as well.
    """
    recipe, gold = run.recipe, run.valid.gold
    calibration: Calibration = Uncalibrated()
    scope: Scope | None = None
    if isinstance(fitted.model, Scorer) and isinstance(given, Scores):
        _require_numbers(given.logits, run, -np.inf, np.inf)
        held = HeldOut.of(given, gold, run, memory).and_more(more)
        if recipe.decide.calibration == "temperature":
            calibration = fit_temperature(held.logits, held.gold, recipe.task)
        if held.signals is not None:
            scope = fit_scope(held.signals, held.gold, fitted.weights)
        calibrated = Calibrated(fitted.model, recipe.task, calibration, scope, memory)
        whole = calibrated.of(given)
        model: Model = calibrated
        valid = calibrated.by_sentences(run.valid.texts, whole)
        own = Answers(valid.probabilities, valid.in_scope, valid.truncated)
        judged = valid if more is None else joined([own, more.answers(recipe.task, calibration, scope)])
        gold = held.gold
    else:
        assert isinstance(given, Answers) and not isinstance(fitted.model, Scorer), "what the model gives"
        model, whole, valid, judged = fitted.model, given, given, given
    _require_numbers(valid.probabilities, run, 0, 1)
    decision = fit_decision(recipe.decide, recipe.task, judged, gold, scoped=valid.evidence is not None)
    decision = better_decision(decision, fitted.decisions, judged, gold)
    if decide(valid.probabilities, decision, valid.in_scope).out_of_scope.all():
        run.say(
            "warning: the model decides no label for any validation row, so it has learnt nothing; "
            "lower the learning rate or train longer"
        )
    for said in calibration_warnings(calibration, decision, len(run.valid), len(more or ())):
        run.say(f"warning: {said}")
    texts, seed = run.valid.texts, recipe.seed
    return Subject(model, recipe.task, calibration, scope, decision, texts, whole, valid, seed, run.reporter)


def _require_numbers(values: Any, run: Run[Any], low: float, high: float) -> None:
    """Check a kind's output for the validation rows: ``(n_valid, n_labels) float32`` between ``low`` and ``high``."""
    found, shape = np.asarray(values), run.valid.gold.shape
    if found.shape != shape or found.dtype != np.float32 or not ((found >= low) & (found <= high)).all():
        raise TrainingError(
            f"the model of kind {run.recipe.kind} returned {found.dtype} values of shape {found.shape}; "
            f"float32 values of shape {shape} between {low:g} and {high:g} are required"
        )


def screen(run: Run[Any], fitted: Fitted, given: Scores | Answers) -> None:
    """Run the first check alone and silently, before the training examples are remembered, which takes longer.

    Raises:
        CheckFailed: the model did not pass.
    """
    check(replace(fitted, checks=fitted.checks[:1]), calibrate(replace(run, reporter=SILENT), fitted, given))


def check(fitted: Fitted, trained: Subject) -> dict[str, float]:
    """Step ``check``: run the kind's checks, which the model must pass to become a bundle.

    Raises:
        CheckFailed: the model did not pass.
    """
    found: dict[str, float] = {}
    for each in fitted.checks:
        found |= each(trained)
    return found


def require_promise(recipe: Recipe, dataset: Dataset) -> None:
    """Check that there are enough calibration rows for what the recipe promises, before anything is trained.

    Raises:
        RowsTooFew: there are not.
    """
    if recipe.decide.promise:
        sizes = [len(labels) for labels in dataset["calibration"].gold]
        require_rows(recipe.decide, sum(map(bool, sizes)), sizes.count(0))


def promise(trained: Subject, recipe: Recipe, dataset: Dataset, valid: Rows) -> tuple[Subject, Promised | None]:
    """Step ``promise``: answer the calibration rows, and hold answers back so that the recipe's promises are kept.

    Raises:
        PromiseUnkept, PromiseConflict: the model cannot keep them.
    """
    if not recipe.decide.promise:
        return trained, None
    held = rows(dataset, "calibration")
    given = _ask(trained.model, trained.model.answer, held.texts, trained.reporter)
    found = fit_promise(
        recipe.decide, trained.decision, dataset.labels, (trained.answers, valid.gold), (given, held.gold)
    )
    return replace(trained, decision=trained.decision.model_copy(update={"accept_at": found.accept_at})), found


def measure_splits(trained: Subject, dataset: Dataset) -> dict[str, Evaluation]:
    """Step ``measure``: evaluate the validation answers, and those to the test split, which is answered once."""
    found = {}
    for name in ("valid", "test"):
        if name not in dataset.splits:
            continue
        trained.reporter.emit(Progress(f"evaluating on {name}"))
        split = dataset[name]
        given = trained.answers
        if name == "test":
            given = _ask(trained.model, trained.model.answer, list(split.texts), trained.reporter)
        decided = decide(given.probabilities, trained.decision, given.in_scope)
        answered = of_answers(list(split), dataset.labels, trained.task, given, decided)
        found[name] = measure(answered, split, dataset=dataset.name, seed=trained.seed)
    return found


def describe(
    run: Run[Any],
    kind: Kind,
    fitted: Fitted,
    trained: Subject,
    promised: Promised | None,
    checks: Mapping[str, float],
    dataset: Dataset,
    cross_fitted: int = 0,
) -> Manifest:
    """The manifest of the bundle."""
    recipe = run.recipe
    return Manifest(
        kind=recipe.kind,
        opener=kind.opener,
        parts=_parts(run.stage),
        task=recipe.task,
        labels=run.labels.names,
        model=fitted.final() if fitted.final else fitted.facts,
        calibration=trained.calibration,
        scope=trained.scope,
        decision=trained.decision,
        promise=promised,
        provenance=Provenance(
            dataset=dataset.name,
            fingerprint=dataset.fingerprint,
            rows={name: len(split) for name, split in dataset.splits.items()},
            splits={name: split.fingerprint for name, split in dataset.splits.items()},
            source=recipe.data.path,
            cross_fitted=cross_fitted,
            parents=recipe.parents(),
        ),
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        versions=_versions(),
        checks=dict(checks),
    )


def seal(
    run: Run[Any],
    manifest: Manifest,
    measured: Mapping[str, Evaluation],
    facts: DataFacts,
    target: Path,
    overwrite: bool,
) -> Bundle:
    """Step ``seal``: write evaluation, data facts and model card, and turn the stage into the bundle ``target``."""
    # The file cannot contain the bundle's id, which is a checksum that covers this file.
    document = {name: evaluation.model_dump(mode="json", exclude={"bundle"}) for name, evaluation in measured.items()}
    (run.stage / FILE).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    (run.stage / "data.json").write_text(facts.model_dump_json(indent=1) + "\n", "utf-8")
    (run.stage / "README.md").write_text(model_card(manifest, facts, measured), "utf-8")
    return commit(run.stage, target, manifest, overwrite=overwrite)


def _parts(stage: Path) -> tuple[str, ...]:
    """The names of the bundles that the kind put inside this one."""
    found = (stage / PARTS).iterdir() if (stage / PARTS).is_dir() else ()
    return tuple(sorted(part.name for part in found))


def _versions() -> dict[str, str]:
    found = {"purport": __version__}
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found
