"""Distils a bundle into a small encoder.

The layers of a teacher that is an encoder are dropped (Sanh et al. 2019, DistilBERT, §2), and the student learns its
probabilities (Hinton et al. 2015), logits and last hidden states. Of any other teacher a student of its own learns the
probabilities. It learns from the training texts and from many more that need no labels: texts
crossed over at a word they share, and joined pairs. Batches depend only on the seed and the step, so that a resumed run
gives the same result as an uninterrupted one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ...bundle import Bundle
from ...classifier import Classifier
from ...errors import RecipeError
from ...invalid import problems
from ...progress import Metric, Progress
from ...runtime.tokens import TextReader
from ..encoder.adapters import merged
from ..encoder.batching import Collator, TokenRows
from ..encoder.checkpoints import latest_checkpoint
from ..encoder.device import contained, device, precision_on
from ..encoder.export import EncoderFacts, deployed
from ..encoder.fit import text_reader, torch_logits
from ..encoder.network import IntentModel, load_tokenizer
from ..encoder.recipe import Adapter, EncoderModel, EncoderRecipe
from ..encoder.restoring import build, restored
from ..run import Fitted, Rows, Run
from .recipe import DistilledRecipe, Teaching
from .supply import Supply
from .teachers import Answering, Network, Teacher, require_alike

# This many batches are drawn at once and sorted by length, so that there is little padding.
_WINDOW = 4
_LAYERS = (0, 2, 5)


class StudentFacts(EncoderFacts):
    """Manifest facts of a bundle with a distilled encoder; ``teacher`` is the id of a bundle.

    ``layers`` are those of the teacher that it has; none if it is an encoder of its own.
    """

    layers: tuple[int, ...]
    teacher: str
    agreement_with_teacher: float


def fit(run: Run[DistilledRecipe]) -> Fitted:
    """Train the student and export it. See :data:`~purport.kinds.kind.Fit`."""
    with contained(run.recipe.seed):
        return _fit(run)


def _fit(run: Run[DistilledRecipe]) -> Fitted:
    recipe = run.recipe
    bundle = Bundle.open(recipe.teacher.bundle)
    made = _of_layers if recipe.model is None and bundle.manifest.kind == "encoder" else _of_answers
    lesson = made(run, bundle)
    student = lesson.student
    _teach(run, lesson)
    student.encoder = merged(student.encoder.cpu().eval())
    valid, collator = TokenRows(run.valid, lesson.reader), Collator(lesson.tokenizer.pad_token_id)
    reference = torch_logits(student.cpu().eval(), valid, collator)
    same = float(lesson.teacher.same(reference, valid, collator).mean())
    run.say(f"the student makes the same decisions as its teacher on {same:.2%} of {len(valid)} validation rows")
    facts = StudentFacts.of(
        student,
        lesson.spec,
        recipe.export,
        layers=lesson.layers,
        teacher=bundle.manifest.id,
        agreement_with_teacher=round(same, 6),
    )
    return deployed(student, lesson.tokenizer, run, facts, reference)


@dataclass(frozen=True)
class Lesson:
    """A student, its teacher and the texts; ``layers`` are those of the teacher that the student has, if any."""

    student: IntentModel
    teacher: Teacher
    supply: Supply
    spec: EncoderModel
    tokenizer: Any
    reader: TextReader
    layers: tuple[int, ...] = ()


def _of_layers(run: Run[DistilledRecipe], bundle: Bundle) -> Lesson:
    """A student that has some layers of its teacher, an encoder."""
    recipe, manifest = run.recipe, bundle.manifest
    require_alike(bundle, run)
    if bundle.labels != run.labels:
        raise RecipeError(
            f"teacher.bundle {recipe.teacher.bundle} must have its labels in the order of the training rows"
        )
    try:  # the teacher's decision settings do not matter
        taught = EncoderRecipe.model_validate({**manifest.recipe, "decide": {}})
    except ValidationError as error:
        found = "; ".join(map(str, problems(error, EncoderRecipe)))
        raise RecipeError(f"teacher.bundle {recipe.teacher.bundle} has an invalid recipe: {found}") from None
    teacher = restored(bundle, taught)
    teacher.encoder = merged(teacher.encoder)
    teacher.requires_grad_(False)
    layers = recipe.teacher.layers or _LAYERS
    student, tokenizer = _shallower(teacher, layers), load_tokenizer(taught.model)
    return Lesson(
        student,
        Network(teacher, recipe, manifest.calibration, manifest.decision),
        Supply(run.train, recipe.fit, recipe.seed),
        taught.model,
        tokenizer,
        text_reader(tokenizer, taught.model, run),
        layers,
    )


def _of_answers(run: Run[DistilledRecipe], bundle: Bundle) -> Lesson:
    """A student of its own that learns from what any bundle answers."""
    recipe, kind, ref = run.recipe, bundle.manifest.kind, run.recipe.teacher.bundle
    require_alike(bundle, run)
    if recipe.teacher.layers is not None:
        raise RecipeError(
            f"teacher.layers needs a teacher of kind encoder, and teacher.bundle {ref} is of kind {kind}; remove "
            "teacher.layers, and name the student's encoder with model.name"
        )
    teacher, spec = Answering(Classifier.open(bundle), run), recipe.model or EncoderModel()
    fit, more = recipe.fit, ""
    if teacher.remote:
        fit = fit.model_copy(update={"crossed": 0.0, "composed": 0.0})
        more = ". It asks a service, so that it is only asked about the rows, without fit.crossed and fit.composed"
    run.say(
        f"teacher {ref} (kind {kind}) gives probabilities, but no logits and no hidden states: fit.logits_weight and "
        f"fit.hidden_weight have no effect{more}"
    )
    own = EncoderRecipe(
        task=recipe.task, data=recipe.data, decide=recipe.decide, model=spec, adapter=recipe.adapter or Adapter()
    )
    student, tokenizer = build(own, len(run.labels)).eval(), load_tokenizer(spec)  # without dropout
    reader = text_reader(tokenizer, spec, run)
    return Lesson(student, teacher, Supply(run.train, fit, recipe.seed), spec, tokenizer, reader)


def _shallower(teacher: IntentModel, layers: Sequence[int]) -> IntentModel:
    """A copy of ``teacher`` with only ``layers``; the embeddings are frozen, all other weights are trained."""
    student = copy.deepcopy(teacher)
    config = student.encoder.config
    depth = _depth(student)
    modules = student.encoder.named_modules()
    stacks = [(name, each) for name, each in modules if isinstance(each, nn.ModuleList) and len(each) == depth]
    if len(stacks) != 1 or max(layers) >= depth:
        raise RecipeError(
            f"teacher.layers {list(layers)} does not fit: the teacher must have a single stack of layers, here 0 to "
            f"{depth - 1}"
        )
    name, stack = stacks[0]
    student.encoder.set_submodule(name, nn.ModuleList([stack[layer] for layer in layers]))
    config.num_hidden_layers = len(layers)  # type: ignore[union-attr]
    for parameter_name, parameter in student.named_parameters():
        parameter.requires_grad_("embeddings" not in parameter_name)
    return student


def _depth(model: IntentModel) -> int:
    """The number of layers."""
    return int(model.encoder.config.num_hidden_layers)  # type: ignore[union-attr,arg-type]


def _teach(run: Run[DistilledRecipe], lesson: Lesson) -> None:
    fit, where = run.recipe.fit, device()
    precision = precision_on(where, fit.precision)
    lesson.teacher.to(where)
    student = lesson.student.to(where)
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(_groups(lesson, fit), lr=fit.learning_rate, weight_decay=fit.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / fit.warmup) * max(0.0, 1 - step / fit.steps)
    )
    # Only fp16 needs gradient scaling; otherwise this does nothing.
    scaler = torch.amp.GradScaler(where, enabled=precision == "fp16")
    parts = {"student": student, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    first = _resume(run, parts)
    run.say(f"training a student with {_depth(student)} layers for {fit.steps:,} steps of {fit.batch_size} texts")
    recent: list[float] = []
    for step, batch in _batches(lesson, fit.batch_size, first, fit.steps):
        loss = _loss(lesson, {name: part.to(where) for name, part in batch.items()}, precision)
        optimizer.zero_grad()
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(trained, 1.0)
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        recent.append(float(loss.detach()))
        run.reporter.emit(Progress("training", step, fit.steps, "steps"))
        if step % fit.save_steps == 0 or step == fit.steps:
            run.reporter.emit(Metric("loss", float(np.mean(recent)), step))
            recent.clear()
            _save(run, parts, step)


def _groups(lesson: Lesson, fit: Teaching) -> list[dict[str, Any]]:
    """The trained weights; a head that begins at random learns faster than the rest."""
    rates: dict[float, list[nn.Parameter]] = {}
    for name, parameter in lesson.student.named_parameters():
        if parameter.requires_grad:
            new = name.startswith("head.") and not lesson.layers
            rates.setdefault(fit.head_learning_rate if new else fit.learning_rate, []).append(parameter)
    return [{"params": parameters, "lr": rate} for rate, parameters in rates.items()]


def _loss(lesson: Lesson, batch: dict[str, Tensor], precision: str) -> Tensor:
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    with torch.autocast(batch["input_ids"].device.type, dtype, enabled=precision != "fp32"):
        hidden, _, logits = lesson.student.read(batch["input_ids"], batch["attention_mask"])
        return lesson.teacher.loss(batch, hidden, logits)


def _batches(lesson: Lesson, size: int, first: int, steps: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Batches ``first + 1`` to ``steps``, each with its number."""
    collator = Collator(lesson.tokenizer.pad_token_id)
    for window in range(first // _WINDOW, math.ceil(steps / _WINDOW)):
        drawn = sorted(lesson.supply.draw(window, size * _WINDOW), key=lambda each: len(each.text))
        targets = lesson.teacher.targets(drawn)
        weights = np.array([each.weight for each in drawn], dtype=np.float32)
        gold = np.zeros((len(drawn), 1), dtype=np.bool_)
        rows = TokenRows(Rows([each.text for each in drawn], gold, weights), lesson.reader)
        order = np.random.default_rng((window, len(drawn))).permutation(_WINDOW)
        for place, cut in enumerate(order.tolist()):
            step = window * _WINDOW + place + 1
            if first < step <= steps:
                batch = collator([rows[cut * size + row] for row in range(size)])
                if targets is not None:
                    batch["targets"] = torch.from_numpy(targets[cut * size : (cut + 1) * size])
                yield step, batch


def _save(run: Run[DistilledRecipe], parts: dict[str, Any], step: int) -> None:
    folder = run.work / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({name: part.state_dict() for name, part in parts.items()}, folder / "state.pt")
    # Written last, because this file marks the checkpoint as complete.
    (folder / "trainer_state.json").write_text(f'{{"global_step": {step}}}', "utf-8")
    for older in (run.work / "checkpoints").glob("checkpoint-*/state.pt"):
        if older.parent != folder:
            older.unlink()


def _resume(run: Run[DistilledRecipe], parts: dict[str, Any]) -> int:
    found = latest_checkpoint(run) if run.resume else None
    if found is None:
        return 0
    for name, state in torch.load(found / "state.pt", weights_only=True, map_location=device()).items():
        parts[name].load_state_dict(state)
    return int(found.name.rpartition("-")[2])
