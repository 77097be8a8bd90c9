"""Evaluates a classifier on a split, with 95 % intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from pydantic import Field

from ..bundle import Bundle
from ..classifier import Classifier
from ..costs import Costs, LabelCost
from ..data.dataset import Split
from ..data.reading import Example
from ..errors import DataError
from ..frozen import Frozen
from ..labels import LabelSet, Task
from ..model import Answers, BoolArray
from ..progress import SILENT, Reporter
from ..runtime.asking import ask
from ..runtime.decision import Decided
from .confidence import CONFIDENCES, decided_above, right_above
from .metrics import Counts, all_metrics, per_label
from .outcome import Outcome, Values
from .resampling import LEVEL, Estimate, bootstrapped, estimate, rounded

FILE = "evaluation.json"
_RIGHT_ABOVE = "right above"
_FEW = 30


class LabelResult(Frozen):
    """One label: the number of gold and predicted rows, and its metrics (``None`` without gold rows)."""

    support: int
    predicted: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


class SureAnswers(Frozen):
    """The decided labels with a confidence above ``above``: how sure they are, and how many of them are right.

    ``n`` counts decided (row, label) pairs, ``confidence`` is their mean confidence, ``right`` the share that is right.
    """

    above: float
    n: int
    confidence: float | None
    right: Estimate

    @property
    def too_sure(self) -> bool:
        """Whether fewer are right than their confidence says, beyond the interval and beyond chance."""
        expected, share = self.confidence, self.right
        if expected is None or share.value is None or share.high is None or share.high >= expected:
            return False
        if self.n >= _FEW:
            return True
        # A bootstrap of a few answers is coarse: here the binomial distribution decides.
        right = round(share.value * self.n)
        odds = [comb(self.n, k) * expected**k * (1 - expected) ** (self.n - k) for k in range(right + 1)]
        return sum(odds) < (1 - LEVEL) / 2


class Evaluation(Frozen):
    """Metrics with intervals, and the data they were measured on; ``bundle`` is an id, empty before there is a bundle.

    ``split`` is empty if the rows are those of a single file, which ``dataset`` then names.
    ``answers`` are the decided labels: all of them, then those with a confidence above 0.95.
    ``unseen_labels`` are gold labels that the model does not know: every such row counts as an error.
    ``left_out`` are labels without a gold row in this split: their metrics are undefined and not in averages.
    ``costs`` are what the rows took that were decided as a label, if a service was asked (:mod:`purport.costs`).
    """

    bundle: str = ""
    dataset: str
    split: str
    fingerprint: str
    task: Task
    n: int
    level: float
    resamples: int
    seed: int
    metrics: dict[str, Estimate]
    answers: tuple[SureAnswers, ...] = ()
    unseen_labels: dict[str, int]
    left_out: list[str]
    labels: dict[str, LabelResult]
    costs: dict[str, LabelCost] = Field(default_factory=dict)


def stored(bundle: Bundle) -> dict[str, Evaluation]:
    """What was measured when ``bundle`` was trained, by split; empty for one without ``evaluation.json``."""
    try:
        document = json.loads((bundle.path / FILE).read_text("utf-8"))
        return {name: Evaluation.model_validate(fields) for name, fields in document.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def evaluate(
    classifier: Classifier,
    split: Split,
    *,
    dataset: str = "",
    resamples: int = 1000,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Evaluation:
    """Evaluate ``classifier`` on every row of ``split``; no row is dropped.

    Intervals are percentiles over ``resamples`` bootstrap samples of rows (Efron & Tibshirani 1993, ch. 13).

    Raises:
        DataError: the split has no rows, or cannot be read.
        ValueError: ``resamples`` is less than 1.
    """
    answered, bundle = answer(classifier, split, reporter), classifier.bundle.manifest.id
    return measure(answered, split, bundle=bundle, dataset=dataset, resamples=resamples, seed=seed)


@dataclass(frozen=True)
class Answered:
    """Answers to a split: ``outcome`` has a column for each of ``names``, the model's ``labels`` first.

    ``answers`` are as the model gave them.
    """

    examples: Sequence[Example]
    outcome: Outcome
    names: tuple[str, ...]
    labels: LabelSet
    answers: Answers

    @property
    def truncated(self) -> BoolArray:
        """Whether each text is longer than the model reads, ``(n,) bool``."""
        return self.answers.truncated

    @property
    def costs(self) -> dict[str, LabelCost]:
        """What services took for the rows, by decided label."""
        costs = Costs(self.labels)
        costs.add([sorted(each) for each in self.decided], self.answers.cost)
        return costs.by_label()

    @property
    def decided(self) -> list[frozenset[str]]:
        """The decided labels of each row."""
        return list(map(frozenset, LabelSet(self.names).decode(self.outcome.decided)))


def answer(classifier: Classifier, split: Split, reporter: Reporter = SILENT, what: str = "classifying") -> Answered:
    """Let ``classifier`` answer every row of ``split``; ``what`` names this work where progress is shown.

    Raises:
        DataError: the split has no rows, or cannot be read.
    """
    examples = list(split)
    if not examples:
        raise DataError(f"split {split.name} has no rows to evaluate on")
    texts, size = [example.text for example in examples], classifier.model.traits.max_batch
    given = ask(classifier.answer, texts, reporter, size=size, what=what, unit="rows")
    return of_answers(examples, classifier.labels, classifier.task, given, classifier.decide(given))


def of_answers(
    examples: Sequence[Example], labels: LabelSet, task: Task, answers: Answers, decided: Decided
) -> Answered:
    """Existing answers, together with the gold labels of ``examples``."""
    gold = [example.labels for example in examples]
    unseen = sorted({label for row in gold for label in row if label not in labels})
    names = (*labels.names, *unseen)
    extra = ((0, 0), (0, len(unseen)))
    probabilities = np.pad(answers.probabilities, extra)
    outcome = Outcome(LabelSet(names).encode(gold), np.pad(decided.labels, extra), probabilities, task)
    return Answered(examples, outcome, names, labels, answers)


def measure(
    answered: Answered, split: Split, *, bundle: str = "", dataset: str = "", resamples: int = 1000, seed: int = 0
) -> Evaluation:
    """The metrics of answers to ``split``, with intervals.

    Raises:
        ValueError: ``resamples`` is less than 1.
    """
    outcome, names = answered.outcome, answered.names
    bootstrap = Bootstrap.of(outcome, resamples, seed)
    support, predicted = outcome.gold.sum(axis=0).tolist(), outcome.decided.sum(axis=0).tolist()
    return Evaluation(
        bundle=bundle,
        dataset=dataset,
        split=split.name,
        fingerprint=split.fingerprint,
        task=outcome.task,
        n=len(outcome),
        level=LEVEL,
        resamples=resamples,
        seed=seed,
        metrics=bootstrap.metrics,
        answers=_sure_answers(outcome, bootstrap.right_above),
        unseen_labels={name: n for name, n in zip(names, support, strict=True) if name not in answered.labels},
        left_out=[name for name, n in zip(names, support, strict=True) if not n],
        labels={
            name: LabelResult(
                support=support[column],
                predicted=predicted[column],
                **{metric: found[column] for metric, found in bootstrap.labels.items()},
            )
            for column, name in enumerate(names)
        },
        costs=answered.costs,
    )


def _sure_answers(outcome: Outcome, right: Sequence[Estimate]) -> tuple[SureAnswers, ...]:
    found = []
    for above, chosen, share in zip(CONFIDENCES, decided_above(outcome), right, strict=True):
        sure = outcome.probabilities[chosen]
        confidence = rounded(sure.mean(dtype=np.float64)) if sure.size else None
        found.append(SureAnswers(above=above, n=sure.size, confidence=confidence, right=share))
    return tuple(found)


class Bootstrap(Frozen):
    """Estimates of every metric, of each label's precision, recall and F1, and of :func:`~.confidence.right_above`."""

    metrics: dict[str, Estimate]
    labels: dict[str, list[Estimate]]
    right_above: list[Estimate]

    @classmethod
    def of(cls, outcome: Outcome, resamples: int, seed: int) -> Bootstrap:
        """Resample the rows of ``outcome``."""

        def measured(weights: Values) -> dict[str, Values]:
            several = per_label(Counts.of(outcome, weights)) | {_RIGHT_ABOVE: right_above(outcome, weights)}
            return all_metrics(outcome, weights) | several

        point, spread = bootstrapped(measured, len(outcome), resamples, seed)
        rows = _rows_behind(outcome)
        several = {
            name: list(map(estimate, value[0], spread[name].T, rows[name]))
            for name, value in point.items()
            if value.ndim == 2
        }
        return cls(
            metrics={
                name: estimate(value[0], spread[name], rows.get(name, 0))
                for name, value in point.items()
                if name not in several
            },
            right_above=several.pop(_RIGHT_ABOVE),
            labels=several,
        )


def _rows_behind(outcome: Outcome) -> dict[str, Any]:
    """Of how many rows each metric is a share: a number, or one for each label or confidence; no others are shares.

    Averages over labels and F1 are taken as if they were shares of the rows that enter them.
    """
    gold, decided = outcome.gold, outcome.decided
    some = {"recall": gold, "precision": decided, "f1": gold | decided, "jaccard": gold | decided}
    averages = {
        f"{name}_{average}": int(which.any(axis=1).sum())
        for name, which in some.items()
        for average in ("micro", "macro", "weighted")
    }
    whole = ("accuracy", "subset_accuracy", "out_of_scope_gold", "out_of_scope_decided")
    return {
        **averages,
        **dict.fromkeys((*whole, *(f"{name}_samples" for name in some)), len(outcome)),
        **{name: which.sum(axis=0).tolist() for name, which in some.items()},
        _RIGHT_ABOVE: [int(chosen.sum()) for chosen in decided_above(outcome)],
        "out_of_scope_recall": int((~gold.any(axis=1)).sum()),
        "out_of_scope_precision": int((~decided.any(axis=1)).sum()),
    }
