"""Recipes of kind ``encoder``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ...frozen import Frozen
from ...labels import Task
from ..recipe import Recipe

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class EncoderModel(Frozen):
    """The encoder, how its tokens become one vector, and the head on top."""

    name: str = "minilm"
    """``minilm`` (packaged), a local directory, or a hub id that ``transformers`` can load."""
    pooling: Literal["mean", "cls", "last"] = "mean"
    """How the vectors of the tokens become one: their mean, the first, or the last."""
    max_length: int = Field(default=64, ge=4)
    """Largest number of tokens that the model reads, special tokens included."""
    truncate: Literal["head", "head+tail"] = "head+tail"
    """Which tokens of a longer text are read: the first ones, or three quarters from its beginning and a quarter from
    its end."""
    spelling: bool = True
    """Correct words that the encoder does not know, where a word of the training texts is one typing error away."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout inside the encoder; by default the encoder's own."""
    head_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Before the head."""


class Adapter(Frozen):
    """Which weights are trained in addition to the head."""

    method: Literal["lora", "ia3", "full", "frozen"] = "lora"
    """``lora`` and ``ia3`` train a few new weights, ``full`` all weights, ``frozen`` none but the head."""
    rank: int = Field(default=16, ge=1)
    """lora: width of the new matrices."""
    alpha: float = Field(default=32.0, gt=0)
    """lora: the new weights are scaled by ``alpha / rank``."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """lora: before the new matrices."""
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """Which layers get new weights: all linear ones, or those whose names end in one of these."""


class Fit(Frozen):
    """Optimisation settings, passed to ``transformers.Trainer``."""

    epochs: float = Field(default=10, gt=0)
    """How often each training text is seen."""
    batch_size: int = Field(default=32, ge=1)
    """Texts per step."""
    eval_batch_size: int = Field(default=128, ge=1)
    """Texts per forward pass on the validation split."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """Of the adapter, or of the encoder with ``method = "full"``."""
    head_learning_rate: float = Field(default=5e-3, gt=0)
    """Of the head."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of AdamW."""
    warmup: float = Field(default=0.06, ge=0, lt=1)
    """Share of all steps during which the learning rate rises."""
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial"] = "linear"
    """How the learning rate falls."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Longer gradients are shortened to this."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are added up for one step."""
    precision: Precision = "auto"
    """``auto``: bf16 where the device has it, fp32 elsewhere."""
    class_weight: Literal["none", "balanced"] = "none"
    """``balanced``: texts with rare label combinations get up to five times the weight."""
    noise: float = Field(default=0.5, ge=0, le=1)
    """Share of the texts, others in each epoch, that are read with one to three typing errors or habits of chats."""
    compose: float = Field(default=0.0, ge=0, le=1)
    """multilabel: number of extra texts made by joining two training texts, as a share of all texts."""
    conjunction: str = " and "
    """The words between the two texts of such a pair."""
    metric: Literal["f1_micro", "f1_macro", "exact_match", "loss"] = "f1_micro"
    """Validation metric that selects the checkpoint, the last within a standard error of the best, and when to stop."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many evaluations without improvement; 0 never stops early."""
    save_steps: int = Field(default=0, ge=0)
    """Evaluate and save after every this many steps; 0: after each epoch."""


class Export(Frozen):
    """How the trained model is exported to ``model.onnx``."""

    quantize: Literal["auto", "int8", "mixed", "weights", "float16", "none"] = "auto"
    """From the fastest to the most exact: ``int8``: one scale per output channel and per token; ``mixed``: int8 but for
    the products that it changes most; ``weights``: int8 weights that are multiplied in fp32; ``float16``: weights in
    half precision; ``none``: fp32, four times the size. ``auto``: the first that decides as the trained model does."""


class EncoderRecipe(Recipe):
    """Kind ``encoder``: a pretrained encoder with adapters, pooling and a linear head."""

    kind: Literal["encoder"] = "encoder"
    model: EncoderModel = EncoderModel()
    adapter: Adapter = Adapter()
    fit: Fit = Fit()
    export: Export = Export()

    @model_validator(mode="after")
    def _only_multilabel_composes(self) -> Self:
        if self.fit.compose and self.task is not Task.MULTILABEL:
            raise ValueError("fit.compose makes texts with several labels and is only for multilabel; remove it")
        return self
