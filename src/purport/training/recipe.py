"""Everything that decides one training run, as TOML. Unknown keys are errors."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .. import registry
from ..data.dataset import Reading
from ..data.formats import Layout
from ..errors import RecipeError, did_you_mean
from ..labels import Task
from ..runtime.ngrams import Ngrams


class Section(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Which data, and how it is read."""

    name: str
    """``sample``, a catalog name, a directory of ``<split>.<format>`` files, or one file (its train split)."""
    train: str = "train"
    valid: str | Annotated[float, Field(gt=0, lt=1)] = 0.1
    """A split, or the share of the train split to set aside (stratified)."""
    test: str | None = None
    """A split that is measured once, after everything has been decided on ``valid``."""
    joint: bool = False
    unlabelled: Literal["error", "out_of_scope"] = "error"
    text_column: str = "text"
    label_column: str = "label"
    label_delimiter: str = "+"
    header: bool | None = None

    def reading(self, task: Task) -> Reading:
        """How rows become examples."""
        layout = Layout(self.text_column, self.label_column, self.header, self.label_delimiter)
        return Reading(task, layout, self.joint, self.unlabelled)


class Decide(Section):
    """How thresholds and calibration are fitted, on the validation split only."""

    calibration: Literal["temperature", "none"] = "temperature"
    thresholds: Literal["per-label", "fixed"] = "per-label"
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """The one of every label where ``thresholds = "fixed"``."""
    min_gain: int = Field(default=3, ge=1)
    """A label's threshold leaves 0.5 only where that makes so many fewer errors on the validation split."""
    reject_below: float = Field(default=0.0, ge=0, lt=1)
    """multiclass: out of scope when the likeliest label is less probable than this."""


class Recipe(Section):
    """What every kind of recipe has."""

    kind: str
    task: Task
    seed: int = Field(default=0, ge=0)
    data: Data
    decide: Decide = Decide()

    @model_validator(mode="after")
    def _joint_is_multiclass(self) -> Self:
        if self.data.joint and self.task is not Task.MULTICLASS:
            raise ValueError("data.joint makes a combination one label, which only multiclass needs")
        return self


class LinearModel(Section):
    """TF-IDF and linear support vector machines."""

    words: tuple[int, int] = (1, 2)
    characters: tuple[int, int] = (2, 5)
    min_count: int = Field(default=2, ge=1)
    """n-grams in fewer training texts than this are left out."""
    max_features: int = Field(default=100_000, ge=1)
    c: float = Field(default=1.0, gt=0)
    class_weight: Literal["none", "balanced"] = "balanced"

    @model_validator(mode="after")
    def _has_features(self) -> Self:
        self.ngrams()
        return self

    def ngrams(self) -> Ngrams:
        """The features."""
        return Ngrams(words=self.words, characters=self.characters)


class LinearRecipe(Recipe):
    """Kind ``linear``: seconds to train, the bar that anything larger has to clear."""

    kind: Literal["linear"] = "linear"
    model: LinearModel = LinearModel()


class EncoderModel(Section):
    """The encoder, how its tokens become one vector, and the head on top."""

    name: str = "minilm"
    """``minilm`` (packaged), a local directory, or a hub id that ``transformers`` can load."""
    pooling: Literal["mean", "cls", "last"] = "mean"
    max_length: int = Field(default=64, ge=4)
    """Tokens that are read, special ones included."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Inside the encoder; its own if not given."""
    head_dropout: float = Field(default=0.1, ge=0, lt=1)


class Adapter(Section):
    """Which weights are trained besides the head."""

    method: Literal["lora", "ia3", "full", "frozen"] = "lora"
    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"


class Fit(Section):
    """The optimisation, handed to ``transformers.Trainer``."""

    epochs: float = Field(default=10, gt=0)
    batch_size: int = Field(default=32, ge=1)
    eval_batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    head_learning_rate: float = Field(default=5e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.06, ge=0, lt=1)
    """Share of all steps."""
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial"] = "linear"
    max_grad_norm: float = Field(default=1.0, gt=0)
    accumulate: int = Field(default=1, ge=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    class_weight: Literal["none", "balanced"] = "none"
    """``balanced``: texts with rare label combinations weigh up to five times as much."""
    compose: float = Field(default=0.0, ge=0, le=1)
    """multilabel: pairs of training texts put together with the labels of both, as a share of all texts."""
    conjunction: str = " and "
    """Stands between the two texts of a pair."""
    metric: Literal["f1_micro", "f1_macro", "exact_match", "loss"] = "f1_micro"
    """Of the validation split: decides which checkpoint is kept and when to stop."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many evaluations without a better metric; 0 never stops early."""
    save_steps: int = Field(default=0, ge=0)
    """Evaluate and save every so many steps; 0: at the end of each epoch."""


class Export(Section):
    """How the trained model becomes ``model.onnx``."""

    quantize: Literal["int8", "none"] = "int8"
    """``int8``: a scale per output channel and per token; ``none``: fp32, four times the size."""


class EncoderRecipe(Recipe):
    """Kind ``encoder``: a pretrained encoder with adapters and a head of our own."""

    kind: Literal["encoder"] = "encoder"
    model: EncoderModel = EncoderModel()
    adapter: Adapter = Adapter()
    fit: Fit = Fit()
    export: Export = Export()

    @model_validator(mode="after")
    def _only_multilabel_composes(self) -> Self:
        if self.fit.compose and self.task is not Task.MULTILABEL:
            raise ValueError("fit.compose makes texts with several labels, which only multilabel can have")
        return self


class Teacher(Section):
    """Who teaches a distilled model, and what of it the student begins as."""

    bundle: str
    """Directory of a bundle of kind ``encoder`` with the same labels, or the name of a shipped one."""
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 2, 5), min_length=1)
    """The teacher's layers that the student keeps, in order."""


class Teaching(Section):
    """The optimisation of a student."""

    steps: int = Field(default=4_000, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    save_steps: int = Field(default=250, ge=1)


class DistilledRecipe(Recipe):
    """Kind ``distilled``: some layers of a trained encoder, taught to decide as all of them do."""

    kind: Literal["distilled"] = "distilled"
    teacher: Teacher
    fit: Teaching = Teaching()
    export: Export = Export()


def load_recipe(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file; ``overrides`` are ``section.key=value`` with TOML values (bare words are strings).

    Raises:
        RecipeError: no such file, not TOML, an unknown kind or key, or a value that does not fit.
    """
    try:
        raw = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read recipe {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from None
    for override in overrides:
        _apply(raw, override)
    return parse_recipe(raw, str(path))


def parse_recipe(raw: dict[str, Any], source: str = "recipe") -> Recipe:
    """The recipe that ``raw`` describes; ``source`` names it in messages.

    Raises:
        RecipeError: see :func:`load_recipe`.
    """
    kind = raw.get("kind")
    if not isinstance(kind, str):
        raise RecipeError(f'{source}: no kind; write kind = "{registry.names("trainers")[0]}" at the top')
    recipe_type: type[Recipe] = registry.load("trainers", kind, RecipeError).recipe_type
    try:
        return recipe_type.model_validate(raw)
    except ValidationError as error:
        problems = [_problem(recipe_type, item) for item in error.errors()]
        raise RecipeError("\n".join(f"{source}: {problem}" for problem in problems)) from None


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f'--set wants key=value, for example --set fit.epochs=3, not "{override}"')
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = raw
    *sections, last = key.strip().split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise RecipeError(f'--set {override}: "{section}" is a value, not a section')
    table[last] = value


def _problem(recipe_type: type[BaseModel], item: Any) -> str:
    where: Sequence[Any] = item["loc"]
    name = ".".join(map(str, where)) or "recipe"
    if item["type"] == "extra_forbidden":
        return f'unknown key "{name}".{did_you_mean(str(where[-1]), _keys(recipe_type, where[:-1]))}'
    if item["type"] == "missing":
        return f'"{name}" is missing'
    return f'"{name}": {item["msg"]} (got {item["input"]!r})'


def _keys(model: type[BaseModel], where: Sequence[Any]) -> list[str]:
    for part in where:
        field = model.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return list(model.model_fields)
