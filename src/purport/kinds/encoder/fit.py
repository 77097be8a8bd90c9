"""Fine-tunes an encoder with ``transformers.Trainer`` and ``peft``.

The libraries handle devices, ``torchrun``, gradient accumulation, mixed precision, checkpoints and TensorBoard. The
loss, the order of batches, the saved weights and the metric are defined here.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback

from ...labels import Task
from ...model import BoolArray, FloatArray
from ...runtime.onnx import batches
from ...runtime.spelling import Words
from ...runtime.tokens import TextReader
from ..run import Fitted, Run
from .batching import Collator, LengthGroupedSampler, TokenRows, row_weights
from .callback import ReportProgress
from .checkpoints import latest_checkpoint
from .compose import with_composed
from .device import contained, device, precision_on
from .export import EncoderFacts, deployed
from .network import IntentModel, load_tokenizer
from .recipe import EncoderModel, EncoderRecipe, Fit
from .restoring import WEIGHTS, build


class TunedFacts(EncoderFacts):
    """Manifest facts of a bundle with a fine-tuned encoder; ``trained_weights`` counts parameters."""

    adapter: str
    trained_weights: int


def fit(run: Run[EncoderRecipe]) -> Fitted | None:
    """Train, select the best checkpoint and export it. See :data:`~purport.kinds.kind.Fit`."""
    with contained(run.recipe.seed):
        return _fit(run)


def _fit(run: Run[EncoderRecipe]) -> Fitted | None:
    recipe = run.recipe
    tokenizer = load_tokenizer(recipe.model)
    model = build(recipe, len(run.labels))
    weights = row_weights(run.train.gold) if recipe.fit.class_weight == "balanced" else None
    rows = with_composed(run.train, recipe.fit.compose, recipe.fit.conjunction, recipe.seed)
    reader = text_reader(tokenizer, recipe.model, run)
    train = TokenRows(rows, reader, weights, noise=recipe.fit.noise, seed=recipe.seed)
    valid = TokenRows(run.valid, reader)
    collator = Collator(tokenizer.pad_token_id)
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    every = sum(parameter.numel() for parameter in model.parameters())
    run.say(f"training {trainable:,} of {every:,} weights on {len(train):,} texts")
    trainer = IntentTrainer(
        model=model,
        args=_arguments(recipe, run.work),
        train_dataset=train,
        eval_dataset=valid,
        data_collator=collator,
        compute_metrics=lambda prediction: _metrics(prediction, recipe.task),
        optimizers=(_optimizer(model, recipe.fit), None),
    )
    _train(trainer, run)
    if not trainer.is_world_process_zero():
        return None

    # Remove the mixed-precision wrapper that training put around forward.
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).float().cpu().eval()
    adapter = run.stage / "adapter"
    adapter.mkdir()
    # Half the bytes. The model goes on with what is saved, so that it is restored exactly.
    halves = {name: weight.half() for name, weight in trained_weights(model).items()}
    model.load_state_dict(halves, strict=False)
    save_file(halves, adapter / WEIGHTS, metadata={"format": "pt"})
    reference = torch_logits(model, valid, collator)
    facts = TunedFacts.of(model, recipe.model, recipe.export, adapter=recipe.adapter.method, trained_weights=trainable)
    return deployed(model, tokenizer, run, facts, reference)


def text_reader(tokenizer: Any, spec: EncoderModel, run: Run[Any]) -> TextReader:
    """What makes tokens of texts, as the bundle will; the words that it needs are written to ``run.stage``."""
    words = Words.of(run.train.texts) if spec.spelling else None
    if words is not None:
        words.save(run.stage)
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    return TextReader(own, spec.max_length, words, spec.truncate)


def _train(trainer: IntentTrainer, run: Run[EncoderRecipe]) -> None:
    trainer.remove_callback(PrinterCallback)
    if trainer.is_world_process_zero():
        trainer.add_callback(ReportProgress(run.reporter))
        trainer.add_callback(TensorBoardCallback(SummaryWriter(run.work / "tensorboard")))
    if run.recipe.fit.patience:
        trainer.add_callback(EarlyStoppingCallback(run.recipe.fit.patience))
    checkpoint = latest_checkpoint(run) if run.resume else None
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that training changes, by name; checkpoints and bundles only store these."""
    return {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def torch_logits(model: IntentModel, rows: TokenRows, collator: Collator) -> FloatArray:
    """Logits of ``rows`` in fp32, ``(n, n_labels)``: the reference that the export is compared with."""
    logits = np.empty((len(rows), model.head.out_features), dtype=np.float32)
    with torch.inference_mode():
        for positions in batches(rows.lengths.tolist()):
            batch = collator([rows[int(position)] for position in positions])
            logits[positions] = model(batch["input_ids"], batch["attention_mask"]).numpy()
    return logits


def _metrics(prediction: EvalPrediction, task: Task) -> dict[str, float]:
    """Validation metrics during training, from logits, before calibration and thresholds."""
    logits: FloatArray = prediction.predictions
    gold: BoolArray = prediction.label_ids.astype(bool)
    decided = logits >= 0 if task is Task.MULTILABEL else logits == logits.max(axis=1, keepdims=True)
    present = np.flatnonzero(gold.any(axis=0))
    return {
        "f1_micro": float(f1_score(gold, decided, average="micro", zero_division=0)),
        "f1_macro": float(f1_score(gold, decided, average="macro", labels=present, zero_division=0)),
        "exact_match": float((gold == decided).all(axis=1).mean()),
    }


def _arguments(recipe: EncoderRecipe, work: Path) -> TrainingArguments:
    fit, cuda = recipe.fit, device() == "cuda"
    precision = precision_on(device(), fit.precision)
    when = "steps" if fit.save_steps else "epoch"
    return TrainingArguments(
        output_dir=str(work / "checkpoints"),
        per_device_train_batch_size=fit.batch_size,
        per_device_eval_batch_size=fit.eval_batch_size,
        num_train_epochs=fit.epochs,
        learning_rate=fit.learning_rate,
        weight_decay=fit.weight_decay,
        warmup_steps=fit.warmup,
        lr_scheduler_type=fit.schedule,
        max_grad_norm=fit.max_grad_norm,
        gradient_accumulation_steps=fit.accumulate,
        save_total_limit=2,
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model=f"eval_{fit.metric}",
        seed=recipe.seed,
        logging_steps=25,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        use_cpu=not cuda,
        ddp_backend=("nccl" if cuda else "gloo") if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=cuda,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        eval_strategy=when,
        save_strategy=when,
        eval_steps=fit.save_steps,
        save_steps=fit.save_steps,
    )


class _SetEpoch(TrainerCallback):  # type: ignore[misc]
    """Tells sampler and rows the epoch, because the library cannot do so through all of its wrappers."""

    def __init__(self, sampler: LengthGroupedSampler, rows: TokenRows) -> None:
        self._sampler, self._rows = sampler, rows

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._sampler.epoch = self._rows.epoch = int(state.epoch + 1e-6)


def _optimizer(model: IntentModel, fit: Fit) -> torch.optim.Optimizer:
    """AdamW with a separate learning rate for the head, and without weight decay of biases and norms."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = fit.head_learning_rate if name.startswith("head.") else fit.learning_rate
            decay = fit.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": held, "lr": rate, "weight_decay": decay} for (rate, decay), held in groups.items()]
    )


class IntentTrainer(Trainer):  # type: ignore[misc]
    """The library's trainer with batches grouped by length, and checkpoints that only have the trained weights."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        size = self.args.train_batch_size * self.args.world_size
        sampler = LengthGroupedSampler(self.train_dataset.lengths, size, self.args.seed)
        self.add_callback(_SetEpoch(sampler, self.train_dataset))
        return sampler

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Take the last checkpoint within one standard error of the best one (Breiman et al. 1984, §3.4.3).

        A single validation row decides between neighbours, and the later one was trained for longer.
        """
        if super()._determine_best_metric(metrics, trial) or not self.args.greater_is_better:
            return bool(self.state.best_global_step == self.state.global_step)
        best = self.state.best_metric
        error = math.sqrt(max(best * (1 - best), 0) / len(self.eval_dataset))
        if metrics[self.args.metric_for_best_model] < best - error:
            return False
        self.state.best_global_step = self.state.global_step
        return True

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        directory = Path(output_dir or self.args.output_dir)
        directory.mkdir(parents=True, exist_ok=True)
        save_file(trained_weights(self.model), directory / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.model.load_state_dict(load_file(Path(resume_from_checkpoint) / WEIGHTS), strict=False)

    def _load_best_model(self) -> None:
        # By its name: the directory of a resumed run may have been moved.
        best = Path(self.args.output_dir, Path(self.state.best_model_checkpoint).name)
        self._load_from_checkpoint(str(best))
