"""Measuring a classifier on a split, with 95 % intervals."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..data.dataset import Example, Split
from ..errors import DataError
from ..frozen import Frozen
from ..labels import LabelSet, Task
from ..model import Answers, BoolArray, FloatArray
from ..progress import SILENT, Progress, Reporter
from ..runtime.decision import Decided
from .metrics import Counts, Outcome, Values, all_metrics, per_label

LEVEL = 0.95
_CHUNK_CELLS = 4_000_000  # weights held at once while resampling: 32 MB
_ANSWER_ROWS = 1024


class Estimate(Frozen):
    """A metric with its bootstrap interval; all ``None`` where it is undefined on these rows."""

    value: float | None
    low: float | None
    high: float | None


class LabelResult(Frozen):
    """One label: gold and predicted rows, and its metrics (``None`` without gold rows)."""

    support: int
    predicted: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


class Evaluation(Frozen):
    """What was measured, on what, with intervals; ``bundle`` is an id, empty where there is no bundle yet.

    ``unseen_labels`` are gold labels that the model does not know: every such row counts as an error.
    ``left_out`` are labels of the model without a gold row here: undefined, so not in means over labels.
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
    unseen_labels: dict[str, int]
    left_out: list[str]
    labels: dict[str, LabelResult]


def evaluate(
    classifier: Classifier,
    split: Split,
    *,
    dataset: str = "",
    resamples: int = 1000,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Evaluation:
    """Measure ``classifier`` on every row of ``split``; none is dropped.

    Intervals are percentiles over ``resamples`` bootstrap samples of rows (Efron & Tibshirani 1993, ch. 13).

    Raises:
        DataError: the split holds no rows, or cannot be read.
        ValueError: ``resamples`` is less than 1.
    """
    answered, bundle = answer(classifier, split, reporter), classifier.bundle.manifest.id
    return measure(answered, split, bundle=bundle, dataset=dataset, resamples=resamples, seed=seed)


@dataclass(frozen=True)
class Answered:
    """Answers to a split: ``outcome`` has a column for each of ``names``, the model's ``labels`` first."""

    examples: Sequence[Example]
    outcome: Outcome
    names: tuple[str, ...]
    labels: LabelSet
    truncated: BoolArray
    seconds: float = 0.0

    def decided_names(self, row: int) -> frozenset[str]:
        """The decided labels of one row."""
        return frozenset(self.names[column] for column in np.flatnonzero(self.outcome.decided[row]))

    @property
    def decided(self) -> list[frozenset[str]]:
        """The decided labels of each row."""
        return [self.decided_names(row) for row in range(len(self.examples))]


def answer(classifier: Classifier, split: Split, reporter: Reporter = SILENT) -> Answered:
    """Let ``classifier`` answer every row of ``split``; ``seconds`` is the time it took.

    Raises:
        DataError: the split holds no rows, or cannot be read.
    """
    examples = list(split)
    if not examples:
        raise DataError(f"split {split.name} holds no rows to evaluate on")
    held = []
    seconds = 0.0
    for start in range(0, len(examples), _ANSWER_ROWS):
        texts = [example.text for example in examples[start : start + _ANSWER_ROWS]]
        began = time.perf_counter()
        held.append(classifier.answer(texts))
        seconds += time.perf_counter() - began
        reporter.emit(Progress("answering", start + len(texts), len(examples), "rows"))
    given = Answers(
        np.concatenate([part.probabilities for part in held]),
        np.concatenate([part.in_scope for part in held]),
        np.concatenate([part.truncated for part in held]),
    )
    decided = classifier.decide(given.probabilities)
    return replace(of_answers(examples, classifier.labels, classifier.task, given, decided), seconds=seconds)


def of_answers(
    examples: Sequence[Example], labels: LabelSet, task: Task, answers: Answers, decided: Decided
) -> Answered:
    """Answers that were given before, beside the gold labels of ``examples``."""
    gold = [example.labels for example in examples]
    outcome, names = extend(gold, labels, answers.probabilities, decided.labels, task)
    return Answered(examples, outcome, names, labels, answers.truncated)


def measure(
    answered: Answered, split: Split, *, bundle: str = "", dataset: str = "", resamples: int = 1000, seed: int = 0
) -> Evaluation:
    """The metrics of answers to ``split``, with intervals.

    Raises:
        ValueError: ``resamples`` is less than 1.
    """
    if resamples < 1:
        raise ValueError("an interval needs at least one bootstrap sample")
    outcome, names = answered.outcome, answered.names
    bootstrap = Bootstrap.of(outcome, resamples, seed)
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
        unseen_labels={
            name: int(outcome.gold[:, column].sum()) for column, name in enumerate(names) if name not in answered.labels
        },
        left_out=[name for column, name in enumerate(names) if not outcome.gold[:, column].any()],
        labels=_label_results(outcome, names, bootstrap),
    )


def extend(
    gold: Sequence[tuple[str, ...]],
    labels: LabelSet,
    probabilities: FloatArray,
    decided: BoolArray,
    task: Task,
) -> tuple[Outcome, tuple[str, ...]]:
    """The outcome with a column for every label of model or gold, and the names of the columns."""
    unseen = sorted({label for row in gold for label in row if label not in labels})
    names = (*labels.names, *unseen)
    extra = ((0, 0), (0, len(unseen)))
    outcome = Outcome(LabelSet(names).encode(gold), np.pad(decided, extra), np.pad(probabilities, extra), task)
    return outcome, names


class Bootstrap(Frozen):
    """Estimates of every metric, and of each label's precision, recall and F1."""

    metrics: dict[str, Estimate]
    labels: dict[str, list[Estimate]]

    @classmethod
    def of(cls, outcome: Outcome, resamples: int, seed: int) -> Bootstrap:
        """Resample the rows of ``outcome``, a chunk of resamples at a time."""
        n = len(outcome)
        plain = np.ones((1, n))
        point, label_point = all_metrics(outcome, plain), per_label(Counts.of(outcome, plain))
        spread: dict[str, list[Values]] = {name: [] for name in point}
        label_spread: dict[str, list[Values]] = {name: [] for name in label_point}
        for weights in resampled(resamples, n, seed):
            for name, values in all_metrics(outcome, weights).items():
                spread[name].append(values)
            for name, values in per_label(Counts.of(outcome, weights)).items():
                label_spread[name].append(values)
        return cls(
            metrics={name: estimate(float(value[0]), np.concatenate(spread[name])) for name, value in point.items()},
            labels={
                name: [
                    estimate(float(value[0, column]), np.concatenate(label_spread[name])[..., column])
                    for column in range(value.shape[1])
                ]
                for name, value in label_point.items()
            },
        )


def resampled(resamples: int, n: int, seed: int) -> Iterator[Values]:
    """Weights of ``resamples`` bootstrap samples of ``n`` rows, as many at a time as memory allows."""
    rng = np.random.default_rng(seed)
    size = max(1, min(resamples, _CHUNK_CELLS // n))
    for start in range(0, resamples, size):
        yield _draw(rng, min(size, resamples - start), n)


def _draw(rng: np.random.Generator, count: int, n: int) -> Values:
    """How often each row is drawn in each of ``count`` resamples: ``(count, n)``."""
    weights = np.zeros((count, n))
    for row in weights:
        row += np.bincount(rng.integers(0, n, size=n), minlength=n)
    return weights


def estimate(value: float, spread: NDArray[np.float64]) -> Estimate:
    """``value`` with the percentile interval of its resamples; all ``None`` if it is undefined."""
    if np.isnan(value):
        return Estimate(value=None, low=None, high=None)
    defined = spread[~np.isnan(spread)]
    if not len(defined):
        return Estimate(value=rounded(value), low=None, high=None)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(value=rounded(value), low=rounded(low), high=rounded(high))


def rounded(value: float) -> float:
    """Six decimals: stable across machines whose sums differ in the last bit."""
    return round(float(value), 6)


def _label_results(outcome: Outcome, names: Sequence[str], bootstrap: Bootstrap) -> dict[str, LabelResult]:
    return {
        name: LabelResult(
            support=int(outcome.gold[:, column].sum()),
            predicted=int(outcome.decided[:, column].sum()),
            precision=bootstrap.labels["precision"][column],
            recall=bootstrap.labels["recall"][column],
            f1=bootstrap.labels["f1"][column],
        )
        for column, name in enumerate(names)
    }
