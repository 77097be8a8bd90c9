"""What all recipes have in common. A recipe fully determines one training run; unknown keys are errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ..data.spec import DataSpec
from ..frozen import Frozen
from ..labels import Task
from ..promise import WrittenTerm

_OF_TRAIN, _OF_VALID = 0.2, 0.5  # calibration rows, unless the recipe says how many


_Share = Annotated[float, Field(ge=0, lt=1)]


class Decide(Frozen):
    """How thresholds and calibration are fitted, on the validation split only; promises on the calibration split."""

    calibration: Literal["temperature", "none"] = "temperature"
    """``temperature``: one number divides all logits; ``none``: they stay as they are."""
    thresholds: Literal["per-label", "fixed"] = "per-label"
    """multilabel: each label has a threshold of its own, or all have the same."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """The threshold of every label if ``thresholds = "fixed"``."""
    min_gain: int = Field(default=3, ge=1)
    """A label's threshold only moves away from 0.5 if that makes at least this many fewer validation errors."""
    reject_below: Literal["fitted"] | Annotated[float, Field(ge=0, lt=1)] = "fitted"
    """``fitted``: out of scope below a limit of ``in_scope`` that is fitted, unless ``thresholds = "fixed"``. A number,
    multiclass only: out of scope if the most likely label is less probable. ``0`` never rejects."""
    keep: float = Field(default=0.995, gt=0, le=1)
    """Without validation rows that are out of scope, at least this share of the right answers is kept."""
    cross_fit: Literal["auto"] | Annotated[int, Field(ge=0, le=20)] = "auto"
    """Calibration and thresholds are fitted on the training rows as well, each answered by a model trained on the other
    folds: so many folds, 0 for none. ``auto``: 5 for kinds that train in seconds, if validation has under 200 rows."""
    promise: tuple[WrittenTerm, ...] = ()
    """What must hold, in place of ``reject_below``: ``"wrong_accepted <= 0.05"`` (of the answers, the share that is
    wrong), ``"oos_accepted <= 0.1"`` (of the messages out of scope, the share that gets an answer),
    ``"answered >= 0.8"`` (of the messages in scope, the share that gets one), or a list of these."""
    certainty: float = Field(default=0.99, ge=0.5, lt=1)
    """The probability that the promises hold for the traffic that the calibration rows come from. With 0.99, about 95 %
    of samples as large as the calibration rows keep the level, too."""
    out_of_scope_share: tuple[_Share, _Share] | None = None
    """The lowest and the highest share of messages out of scope for which ``wrong_accepted`` must hold; by default from
    0 to that of the calibration rows."""

    @field_validator("promise", mode="before")
    @classmethod
    def _one_term(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _promise_is_clear(self) -> Self:
        measures = [term.measure for term in self.promise]
        if twice := {measure for measure in measures if measures.count(measure) > 1}:
            raise ValueError(f"decide.promise says two things of {twice.pop()}; keep the stricter one")
        if self.promise and self.reject_below != "fitted":
            raise ValueError("decide.promise and decide.reject_below both say what gets no answer; remove reject_below")
        if self.out_of_scope_share:
            if not self.promise:
                raise ValueError("decide.out_of_scope_share is only for decide.promise; remove it")
            if self.out_of_scope_share[0] > self.out_of_scope_share[1]:
                raise ValueError("decide.out_of_scope_share has the lowest share first, then the highest")
        return self


class Recipe(Frozen):
    """The part of a recipe that all kinds share."""

    kind: str
    """How the bundle is made: ``linear``, ``encoder``, ``distilled``, ``cascade``, ``llm``, or a kind of yours."""
    task: Task
    """``multilabel``: any number of labels per text, none included; ``multiclass``: exactly one."""
    seed: int = Field(default=0, ge=0)
    """All randomness of the run follows from it."""
    data: DataSpec
    decide: Decide = Decide()

    @model_validator(mode="before")
    @classmethod
    def _sets_calibration_rows_aside(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        decide, data = raw.get("decide"), raw.get("data")
        if isinstance(decide, Mapping) and decide.get("promise") and isinstance(data, Mapping):
            share = _OF_VALID if isinstance(data.get("valid"), str) else _OF_TRAIN
            return {**raw, "data": {"calibration": share} | dict(data)}
        return raw

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if bool(self.decide.promise) != (self.data.calibration is not None):
            raise ValueError(
                "decide.promise needs data.calibration, for example a share of 0.2"
                if self.decide.promise
                else "data.calibration is only for decide.promise; remove it, or say what to promise"
            )
        if self.task is Task.MULTICLASS and self.decide.thresholds == "fixed":
            raise ValueError("decide.thresholds is only for multilabel; for multiclass use decide.reject_below")
        if self.task is Task.MULTILABEL and self.decide.reject_below not in ("fitted", 0):
            raise ValueError("decide.reject_below is only for multiclass; for multilabel use decide.threshold")
        if self.task is Task.MULTILABEL and self.data.joint:
            raise ValueError("data.joint makes each combination one label and is only for multiclass; remove it")
        return self

    def without_promise(self) -> Self:
        """The same recipe without promises, and so without calibration rows."""
        decide = self.decide.model_copy(update={"promise": (), "out_of_scope_share": None})
        return self.model_copy(update={"decide": decide, "data": self.data.model_copy(update={"calibration": None})})

    def parents(self) -> tuple[str, ...]:
        """The ids of the bundles that this recipe starts from."""
        return ()
