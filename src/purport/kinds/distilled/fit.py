"""Distils a trained encoder into one with fewer layers.

Layers are dropped (Sanh et al. 2019, DistilBERT, §2), and the student learns the teacher's probabilities (Hinton et al.
2015), logits and last hidden states. It learns from the training texts and from many more that need no labels: texts
crossed over at a word they share, and joined pairs. Batches depend only on the seed and the step, so that a resumed run
gives the same result as an uninterrupted one.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ...bundle import Bundle
from ...data.noise import noisy
from ...errors import RecipeError
from ...invalid import problems
from ...labels import Task
from ...progress import Metric, Progress
from ...runtime.calibration import probabilities
from ...runtime.decision import decide
from ...runtime.tokens import TextReader
from ..encoder.adapters import merged
from ..encoder.batching import Collator, TokenRows
from ..encoder.checkpoints import latest_checkpoint
from ..encoder.device import contained, device, precision_on
from ..encoder.export import EncoderFacts, deployed
from ..encoder.fit import text_reader, torch_logits
from ..encoder.network import IntentModel, load_tokenizer, losses
from ..encoder.recipe import EncoderRecipe
from ..encoder.restoring import restored
from ..run import Fitted, Rows, Run
from .recipe import DistilledRecipe, Teaching

# This many batches are drawn at once and sorted by length, so that there is little padding.
_WINDOW = 4
_LONGEST_WORDS = 40


class StudentFacts(EncoderFacts):
    """Manifest facts of a bundle with a distilled encoder; ``teacher`` is the id of a bundle."""

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
    manifest = bundle.manifest
    if manifest.kind != "encoder" or bundle.labels != run.labels or manifest.task is not recipe.task:
        raise RecipeError(
            f"teacher.bundle {recipe.teacher.bundle} must be a bundle of kind encoder with the same task and labels"
        )
    try:  # the teacher's decision settings do not matter
        taught = EncoderRecipe.model_validate({**manifest.recipe, "decide": {}})
    except ValidationError as error:
        found = "; ".join(map(str, problems(error, EncoderRecipe)))
        raise RecipeError(f"teacher.bundle {recipe.teacher.bundle} has an invalid recipe: {found}") from None
    teacher = restored(bundle, taught)
    teacher.encoder = merged(teacher.encoder)
    teacher.requires_grad_(False)
    student = _shallower(teacher, recipe.teacher.layers)
    tokenizer = load_tokenizer(taught.model)
    texts = _Texts(run.train.texts, recipe.fit, recipe.seed)
    reader = text_reader(tokenizer, taught.model, run)
    _teach(run, Lesson(student, teacher, texts, reader, tokenizer.pad_token_id, manifest.calibration.temperature))
    valid = TokenRows(run.valid, reader)
    collator = Collator(tokenizer.pad_token_id)
    reference, expected = (torch_logits(model.cpu().eval(), valid, collator) for model in (student, teacher))
    own, theirs = (
        decide(probabilities(logits, recipe.task, manifest.calibration), manifest.decision)
        for logits in (reference, expected)
    )
    same = float(own.same(theirs).mean())
    run.say(f"the student makes the same decisions as its teacher on {same:.2%} of {len(valid)} validation rows")
    facts = StudentFacts.of(
        student,
        taught.model,
        recipe.export,
        layers=recipe.teacher.layers,
        teacher=manifest.id,
        agreement_with_teacher=round(same, 6),
    )
    return deployed(student, tokenizer, run, facts, reference)


def _shallower(teacher: IntentModel, layers: Sequence[int]) -> IntentModel:
    """A copy of ``teacher`` with only ``layers``; the embeddings are frozen, all other weights are trained."""
    student = copy.deepcopy(teacher)
    config = student.encoder.config
    depth = int(config.num_hidden_layers)  # type: ignore[union-attr,arg-type]
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


class _Texts:
    """An endless supply of texts, made from those of the training split."""

    def __init__(self, texts: Sequence[str], recipe: Teaching, seed: int) -> None:
        self._texts = list(texts)
        self._recipe = recipe
        self._seed = seed
        self._where: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for row, text in enumerate(self._texts):
            for position, word in enumerate(text.split()):
                self._where[word].append((row, position))

    def draw(self, step: int, count: int) -> list[str]:
        """``count`` texts, which depend only on the seed and ``step``."""
        rng = np.random.default_rng((self._seed, step))
        texts = [self._one(rng) for _ in range(count)]
        return [noisy(text, rng) if rng.random() < self._recipe.noise else text for text in texts]

    def _one(self, rng: np.random.Generator) -> str:
        text = self._texts[rng.integers(len(self._texts))]
        kind = rng.random()
        crossed, composed, conjunctions = self._recipe.crossed, self._recipe.composed, self._recipe.conjunctions
        if kind < crossed:
            return self._crossed(text, rng)
        if kind < crossed + composed:
            joint = conjunctions[rng.integers(len(conjunctions))]
            return f"{text}{joint}{self._texts[rng.integers(len(self._texts))]}"
        return text

    def _crossed(self, text: str, rng: np.random.Generator) -> str:
        """The beginning of ``text`` up to some word, continued by the rest of another text from the same word on."""
        words = text.split()
        if not words:
            return text
        cut = int(rng.integers(len(words)))
        others = self._where[words[cut]]
        row, position = others[rng.integers(len(others))]
        return " ".join((words[:cut] + self._texts[row].split()[position:])[:_LONGEST_WORDS])


@dataclass(frozen=True)
class Lesson:
    """A student, its teacher and the texts; ``temperature`` is the calibration temperature of the teacher."""

    student: IntentModel
    teacher: IntentModel
    texts: _Texts
    reader: TextReader
    pad_id: int
    temperature: float


def _teach(run: Run[DistilledRecipe], lesson: Lesson) -> None:
    fit, where = run.recipe.fit, device()
    precision = precision_on(where, fit.precision)
    lesson.teacher.to(where)
    student = lesson.student.to(where)
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=fit.learning_rate, weight_decay=fit.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / fit.warmup) * max(0.0, 1 - step / fit.steps)
    )
    # Only fp16 needs gradient scaling; otherwise this does nothing.
    scaler = torch.amp.GradScaler(where, enabled=precision == "fp16")
    parts = {"student": student, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    first = _resume(run, parts)
    run.say(
        f"training a student with {len(run.recipe.teacher.layers)} layers for {fit.steps:,} steps of {fit.batch_size} "
        "texts"
    )
    recent: list[float] = []
    for step, batch in _batches(lesson, fit.batch_size, first, fit.steps):
        loss = _loss(lesson, {name: part.to(where) for name, part in batch.items()}, run.recipe, precision)
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


def _loss(lesson: Lesson, batch: dict[str, Tensor], recipe: DistilledRecipe, precision: str) -> Tensor:
    ids, mask, temperature = batch["input_ids"], batch["attention_mask"], lesson.temperature
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    mixed = torch.autocast(ids.device.type, dtype, enabled=precision != "fp32")
    with torch.no_grad(), mixed:
        hidden, _, logits = lesson.teacher.read(ids, mask)
    with mixed:
        own_hidden, _, own = lesson.student.read(ids, mask)
    hidden, logits, own_hidden, own = hidden.float(), logits.float(), own_hidden.float(), own.float()
    scaled = logits / temperature
    target = scaled.sigmoid() if recipe.task is Task.MULTILABEL else scaled.softmax(dim=1)
    learnt = losses(own / temperature, target, recipe.task).mean()
    tokens = mask.unsqueeze(-1).float()
    hidden_loss = ((hidden - own_hidden) ** 2 * tokens).sum() / (tokens.sum() * hidden.shape[-1])
    logits_loss = ((logits - own) ** 2).sum(dim=1).mean()
    return learnt + recipe.fit.logits_weight * logits_loss + recipe.fit.hidden_weight * hidden_loss


def _batches(lesson: Lesson, size: int, first: int, steps: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Batches ``first + 1`` to ``steps``, each with its number."""
    collator = Collator(lesson.pad_id)
    for window in range(first // _WINDOW, math.ceil(steps / _WINDOW)):
        texts = sorted(lesson.texts.draw(window, size * _WINDOW), key=len)
        gold = np.zeros((len(texts), 1), dtype=np.bool_)
        rows = TokenRows(Rows(texts, gold), lesson.reader)
        order = np.random.default_rng((window, len(texts))).permutation(_WINDOW)
        for place, cut in enumerate(order):
            step = window * _WINDOW + place + 1
            if first < step <= steps:
                yield step, collator([rows[int(cut) * size + row] for row in range(size)])


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
