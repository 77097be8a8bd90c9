"""A shallower encoder that decides as a deeper one does: some of its layers, taught to give its logits.

Layers are dropped (Sanh et al. 2019, DistilBERT, §2) and what is left learns the teacher's probabilities (Hinton et al.
2015), logits and last hidden states, on the training texts and on many more that need no label: texts crossed over at a
word they share, and pairs put together. Batches follow from seed and step alone, so a resumed run gives the same.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import set_seed

from ..bundle import Bundle
from ..errors import RecipeError
from ..labels import Task
from .adapters import merged
from .batching import Collator, TokenRows
from .encoder import latest_checkpoint, restored, torch_logits
from .export import export
from .gates import same_decisions
from .model import IntentModel, load_tokenizer, pool
from .recipe import DistilledRecipe, EncoderRecipe
from .run import Fitted, Rows, Run

# Batches are cut from so many drawn at once and sorted by length: little padding.
_WINDOW = 4
_WARM_UP = 100
# Weights of the losses beside the cross-entropy of the teacher's probabilities.
_LOGITS, _HIDDEN = 0.05, 10.0
_CROSSED, _COMPOSED = 0.55, 0.10
_LONGEST_WORDS = 40


def fit(run: Run[DistilledRecipe]) -> Fitted:
    """Teach the student, export it. See :class:`~purport.training.trainers.Trainer`."""
    recipe = run.recipe
    set_seed(recipe.seed)
    bundle = Bundle.open(recipe.teacher.bundle)
    if bundle.manifest.kind != "encoder" or bundle.labels != run.labels or bundle.manifest.task is not recipe.task:
        raise RecipeError(f"teacher.bundle {recipe.teacher.bundle} is no encoder of this task and these labels")
    taught = EncoderRecipe.model_validate(bundle.manifest.recipe)
    teacher = restored(bundle, taught)
    teacher.encoder = merged(teacher.encoder)
    teacher.requires_grad_(False)
    student = _shallower(teacher, recipe.teacher.layers)
    tokenizer = load_tokenizer(taught.model)
    source = _Texts(run.train.texts, recipe.seed)
    _teach(run, student, teacher, source, tokenizer, taught.model.max_length, bundle.manifest.calibration.temperature)
    valid = TokenRows(run.valid, tokenizer, taught.model.max_length)
    collator = Collator(tokenizer.pad_token_id)
    student.eval()
    reference = torch_logits(student, valid, collator)
    taught_logits = torch_logits(teacher, valid, collator)
    manifest = bundle.manifest
    alike = same_decisions(reference, taught_logits, recipe.task, manifest.calibration, manifest.decision)
    same = float(alike.mean())
    run.report(f"the student decides as its teacher on {same:.2%} of {len(valid)} validation rows")
    scorer = export(student, tokenizer, run, taught.model.max_length)
    return Fitted(
        scorer=scorer,
        model={
            "encoder": taught.model.name,
            "pooling": taught.model.pooling,
            "max_length": taught.model.max_length,
            "layers": list(recipe.teacher.layers),
            "teacher": bundle.manifest.id,
            "agreement_with_teacher": round(same, 6),
            "weights": sum(parameter.numel() for parameter in student.parameters()),
            "quantize": recipe.export.quantize,
        },
        valid_logits=scorer.score(run.valid.texts).logits,
        reference_logits=reference,
        facts={"steps": recipe.fit.steps},
    )


def _shallower(teacher: IntentModel, layers: Sequence[int]) -> IntentModel:
    """A copy of ``teacher`` with only ``layers``; its embeddings stay as they are, the rest learns."""
    student = copy.deepcopy(teacher)
    config = student.encoder.config
    depth = int(config.num_hidden_layers)  # type: ignore[union-attr,arg-type]
    stacks = [
        (module, name)
        for module in student.encoder.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == depth
    ]
    if len(stacks) != 1 or max(layers) >= depth:
        raise RecipeError(f"teacher.layers {list(layers)}: the teacher has one stack of layers 0 to {depth - 1}")
    module, name = stacks[0]
    stack = getattr(module, name)
    setattr(module, name, nn.ModuleList([stack[layer] for layer in layers]))
    config.num_hidden_layers = len(layers)  # type: ignore[union-attr]
    for parameter_name, parameter in student.named_parameters():
        parameter.requires_grad_("embeddings" not in parameter_name)
    return student


class _Texts:
    """Texts without end, from those of the training split."""

    def __init__(self, texts: Sequence[str], seed: int) -> None:
        self._texts = list(texts)
        self._seed = seed
        self._where: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for row, text in enumerate(self._texts):
            for position, word in enumerate(text.split()):
                self._where[word].append((row, position))

    def draw(self, step: int, count: int) -> list[str]:
        """``count`` texts, which follow from seed and ``step`` alone."""
        rng = np.random.default_rng((self._seed, step))
        return [self._one(rng) for _ in range(count)]

    def _one(self, rng: np.random.Generator) -> str:
        text = self._texts[rng.integers(len(self._texts))]
        kind = rng.random()
        if kind < _CROSSED:
            return self._crossed(text, rng)
        if kind < _CROSSED + _COMPOSED:
            joint = (" and ", " ", " also ", " and also ")[rng.integers(4)]
            return f"{text}{joint}{self._texts[rng.integers(len(self._texts))]}"
        return text

    def _crossed(self, text: str, rng: np.random.Generator) -> str:
        """The beginning of ``text`` up to some word, and the rest of another text that has the word too."""
        words = text.split()
        if not words:
            return text
        cut = int(rng.integers(len(words)))
        others = self._where[words[cut]]
        row, position = others[rng.integers(len(others))]
        return " ".join((words[:cut] + self._texts[row].split()[position:])[:_LONGEST_WORDS])


def _teach(
    run: Run[DistilledRecipe],
    student: IntentModel,
    teacher: IntentModel,
    source: _Texts,
    tokenizer: object,
    max_length: int,
    temperature: float,
) -> None:
    fit = run.recipe.fit
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=fit.learning_rate, weight_decay=fit.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / _WARM_UP) * max(0.0, 1 - step / fit.steps)
    )
    parts = {"student": student, "optimizer": optimizer, "schedule": schedule}
    first = _resume(run, parts)
    run.report(f"teaching {len(run.recipe.teacher.layers)} layers for {fit.steps:,} steps of {fit.batch_size} texts")
    recent: list[float] = []
    for step, batch in _batches(source, tokenizer, max_length, fit.batch_size, first, fit.steps):
        loss = _loss(student, teacher, batch, run.recipe.task, temperature)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        recent.append(float(loss.detach()))
        if step % fit.save_steps == 0 or step == fit.steps:
            run.report(f"step {step:,} of {fit.steps:,}, loss {np.mean(recent):.4f}")
            recent.clear()
            _save(run, parts, step)


def _loss(
    student: IntentModel, teacher: IntentModel, batch: dict[str, Tensor], task: Task, temperature: float
) -> Tensor:
    ids, mask = batch["input_ids"], batch["attention_mask"]
    precision = torch.autocast("cpu", torch.bfloat16)
    with torch.no_grad(), precision:
        hidden, logits = _forward(teacher, ids, mask)
    with precision:
        own_hidden, own = _forward(student, ids, mask)
    hidden, logits, own_hidden, own = hidden.float(), logits.float(), own_hidden.float(), own.float()
    if task is Task.MULTILABEL:
        target = torch.sigmoid(logits / temperature)
        losses = nn.functional.binary_cross_entropy_with_logits(own / temperature, target, reduction="none").sum(dim=1)
    else:
        losses = nn.functional.cross_entropy(own / temperature, (logits / temperature).softmax(dim=1), reduction="none")
    tokens = mask.unsqueeze(-1).float()
    hidden_loss = ((hidden - own_hidden) ** 2 * tokens).sum() / (tokens.sum() * hidden.shape[-1])
    return losses.mean() + _LOGITS * ((logits - own) ** 2).sum(dim=1).mean() + _HIDDEN * hidden_loss


def _forward(model: IntentModel, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    hidden = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    return hidden, model.head(pool(hidden, mask, model.pooling))


def _batches(
    source: _Texts, tokenizer: object, max_length: int, size: int, first: int, steps: int
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Batches ``first + 1`` to ``steps``, each with its number."""
    for window in range(first // _WINDOW, math.ceil(steps / _WINDOW)):
        texts = sorted(source.draw(window, size * _WINDOW), key=len)
        gold = np.zeros((len(texts), 1), dtype=np.bool_)
        rows = TokenRows(Rows(texts, gold), tokenizer, max_length)
        collator = Collator(tokenizer.pad_token_id)  # type: ignore[attr-defined]
        order = np.random.default_rng((window, len(texts))).permutation(_WINDOW)
        for place, cut in enumerate(order):
            step = window * _WINDOW + place + 1
            if first < step <= steps:
                yield step, collator([rows[int(cut) * size + row] for row in range(size)])


def _save(run: Run[DistilledRecipe], parts: dict[str, object], step: int) -> None:
    folder = run.work / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({name: part.state_dict() for name, part in parts.items()}, folder / "state.pt")  # type: ignore[attr-defined]
    # What makes a checkpoint count is written last.
    (folder / "trainer_state.json").write_text(f'{{"global_step": {step}}}', "utf-8")
    for older in (run.work / "checkpoints").glob("checkpoint-*/state.pt"):
        if older.parent != folder:
            older.unlink()


def _resume(run: Run[DistilledRecipe], parts: dict[str, object]) -> int:
    found = latest_checkpoint(run.work / "checkpoints") if run.resume else None
    if found is None:
        return 0
    for name, state in torch.load(found / "state.pt", weights_only=True).items():
        parts[name].load_state_dict(state)  # type: ignore[attr-defined]
    run.report(f"going on from {found.name}")
    return int(found.name.rpartition("-")[2])
