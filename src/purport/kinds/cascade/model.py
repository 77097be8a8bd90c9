"""The model of a cascade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...bundle import Bundle
from ...classifier import Classifier
from ...errors import BundleCorrupt
from ...frozen import Frozen
from ...manifest import Many, ModelFacts, Share
from ...model import Answers, BoolArray, FloatArray, Lengths, Metered, Model, Traits, Usage
from ...runtime.decision import acceptance, decide
from .target import Point

OPENER = "cascade"


class StageFacts(Frozen):
    """One stage: its part of the bundle, its kind and id, and the score below which it passes a text on.

    ``reached`` is the share of the validation rows that it was asked, ``ms`` the milliseconds that it took for one.
    """

    part: str
    kind: str
    bundle: str
    pass_below: Annotated[float, Field(ge=0, le=2)]
    reached: Share
    ms: Annotated[float, Field(ge=0, le=1e9)]


class CascadeFacts(ModelFacts):
    """Manifest facts of a cascade: its stages, what it was built for, and the points that were to choose from.

    ``at_once`` is the number of texts that a stage asks a service at a time; 0 if none does.
    """

    stages: Annotated[Many[StageFacts], Field(min_length=2, max_length=8)]
    target: Many[str] = Field(max_length=8)
    chosen: Point
    curve: Many[Point]
    at_once: int = 0

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len({stage.part for stage in self.stages}) < len(self.stages):
            raise ValueError("a part must not be two stages")
        return self

    def described(self) -> list[str]:
        """What the cascade does on its validation rows: a line for each stage, and one for all."""
        point = self.chosen
        return [
            *(
                f"stage {number}, {stage.kind}: asked {stage.reached:.1%} of the texts, {stage.ms:.2g} ms each"
                + (f"; settles those with a score of {stage.pass_below:.3g} or more" if stage.pass_below else "")
                for number, stage in enumerate(self.stages, start=1)
            ),
            f"together: {point.right:.2%} of the validation rows exactly right ({point.against_the_last} "
            f"than the last stage alone, standard error {point.error:.2f}), {point.mean_ms:.2g} ms on average, "
            f"{point.p95_ms:.2g} ms for 95 %"
            + (f", {point.cost:.3g} US dollars for 1,000 texts" if point.cost else ""),
        ]


@dataclass(frozen=True)
class Stage:
    """A classifier, the column of each label of the cascade in its answers, and the score below which it passes on."""

    classifier: Classifier
    columns: NDArray[np.intp]
    pass_below: float

    def score(self, answers: Answers) -> FloatArray:
        """How sure the stage is of its decision of each of its ``answers``, ``(n,) float32`` (:func:`acceptance`)."""
        decision = self.classifier.bundle.manifest.decision.model_copy(update={"accept_at": 0.0})
        decided = decide(answers.probabilities, decision, answers.in_scope)
        return acceptance(answers.probabilities, decided.labels, decision, answers.in_scope)


class Cascade:
    """Asks the first stage, and each next one what the one before does not settle."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages

    @property
    def traits(self) -> Traits:
        """What holds for all stages."""
        every = [stage.classifier.model.traits for stage in self._stages]
        return Traits(
            remote=any(each.remote for each in every),
            deterministic=all(each.deterministic for each in every),
            batch_invariant=all(each.batch_invariant for each in every),
            max_batch=min((each.max_batch for each in every if each.max_batch is not None), default=None),
            timeout_s=max((each.timeout_s for each in every if each.timeout_s is not None), default=None),
        )

    @property
    def usage(self) -> Usage:
        """What all stages have asked of services."""
        every = [stage.classifier.model for stage in self._stages]
        return sum((each.usage for each in every if isinstance(each, Metered)), Usage())

    def answer(self, texts: Sequence[str]) -> Answers:
        """See :class:`~purport.model.Model`. ``answered_by`` has the id of the stage that settled each text."""
        rows, found = np.arange(len(texts)), _Found(len(texts), len(self._stages[0].columns), paid=self.traits.remote)
        for number, stage in enumerate(self._stages):
            answers = stage.classifier.answer([texts[row] for row in rows.tolist()])
            last = number == len(self._stages) - 1
            settled = np.ones(len(rows), np.bool_) if last else stage.score(answers) >= np.float32(stage.pass_below)
            found.put(rows[settled], settled, answers, stage)
            found.paid(rows, answers)
            rows = rows[~settled]
            if not len(rows):
                break
        return found.answers()

    def has(self, texts: Sequence[str]) -> BoolArray:
        """See :class:`~purport.model.Keeping`: whether all stages have the text, also those that it may not reach."""
        found: BoolArray = np.all([stage.classifier.has(texts) for stage in self._stages], axis=0)
        return found

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """The lengths as the last stage reads the texts."""
        return self._stages[-1].classifier.lengths(texts)


class _Found:
    """Answers to ``n`` texts that are put together from those of several stages."""

    def __init__(self, n: int, n_labels: int, *, paid: bool) -> None:
        self._probabilities = np.zeros((n, n_labels), dtype=np.float32)
        self._in_scope = np.zeros(n, dtype=np.float32)
        self._truncated = np.zeros(n, dtype=np.bool_)
        self._evidence: FloatArray | None = None
        self._answered_by = [""] * n
        self._cost = np.zeros((n, 2)) if paid else None

    def put(self, rows: NDArray[np.intp], settled: NDArray[np.bool_], answers: Answers, stage: Stage) -> None:
        """Take over the ``settled`` ones of a stage's answers."""
        self._probabilities[rows] = answers.probabilities[settled][:, stage.columns]
        self._in_scope[rows], self._truncated[rows] = answers.in_scope[settled], answers.truncated[settled]
        if answers.evidence is not None:
            if self._evidence is None:
                self._evidence = np.zeros((len(self._in_scope), answers.evidence.shape[1]), dtype=np.float32)
            self._evidence[rows] = answers.evidence[settled]
        for row in rows.tolist():
            self._answered_by[row] = stage.classifier.bundle.manifest.id

    def paid(self, rows: NDArray[np.intp], answers: Answers) -> None:
        """Count what a stage took for ``rows``, also for those that it passes on."""
        if self._cost is not None and answers.cost is not None:
            self._cost[rows] += answers.cost

    def answers(self) -> Answers:
        """All of them."""
        return Answers(
            self._probabilities, self._in_scope, self._truncated,
            answered_by=tuple(self._answered_by), evidence=self._evidence, cost=self._cost,
        )  # fmt: skip


def open_model(bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> Model:
    """The model of ``bundle``, whose stages are its parts.

    Raises:
        BundleCorrupt: a stage is missing, or does not fit the cascade.
        DeviceUnavailable: a stage does not run on ``device``.
    """
    facts = bundle.facts(CascadeFacts)
    stages = []
    for each in facts.stages:
        part = bundle.part(each.part)
        # A cascade in a cascade could open so many stages that nothing is left for anybody else.
        if part.manifest.id != each.bundle or part.manifest.task is not bundle.manifest.task or part.manifest.parts:
            raise BundleCorrupt(bundle.path, each.part, "is not the stage that the manifest names")
        computes = part.manifest.kind not in ("linear", "llm") or hasattr(part.manifest.model, "local")
        own = device if computes else "cpu"
        classifier = Classifier.open(part, device=own, threads=threads)
        stages.append(Stage(classifier, columns(classifier, bundle.manifest.labels), each.pass_below))
    return Cascade(stages)


def columns(classifier: Classifier, labels: Sequence[str]) -> NDArray[np.intp]:
    """The column of each of ``labels`` in the answers of ``classifier``.

    Raises:
        KeyError: it does not know one.
    """
    at = {name: column for column, name in enumerate(classifier.labels.names)}
    return np.array([at[name] for name in labels], dtype=np.intp)
