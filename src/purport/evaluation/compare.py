"""Compares two bundles on the same rows; every difference is paired."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from ..classifier import Classifier
from ..data.dataset import Example, Split
from ..frozen import Frozen
from ..labels import LabelSet, Task
from ..model import BoolArray
from ..progress import SILENT, Reporter
from . import curves
from .evaluate import Estimate, answer, bootstrapped, estimate, rounded
from .gates import Gate, check_gates
from .metrics import Counts, averaged, per_label
from .outcome import Outcome, Values
from .report import milliseconds
from .rows import data_spec

_MOST_ROWS = 500
_SURE = 0.05
AVERAGES = ("f1_micro", "f1_macro", "precision_micro", "recall_micro", "exact_match")
_PER_LABEL = "f1 per label"

LabelSets = list[frozenset[str]]


class Difference(Frozen):
    """A metric of A and of B, and the difference B - A with its paired interval."""

    a: float | None
    b: float | None
    difference: Estimate


class LabelChange(Frozen):
    """One label: F1 of A and B, and the number of rows where B fixes or breaks its decision."""

    support: int
    f1: Difference
    fixed: int
    broken: int


class ChangedRow(Frozen):
    """A row that A and B classify differently: ``broken``, ``fixed``, or ``changed`` (wrong in both)."""

    row: int
    text: str
    gold: tuple[str, ...]
    a: tuple[str, ...]
    b: tuple[str, ...]
    direction: str


class Side(Frozen):
    """One of the two bundles. ``median_ms`` is per text; the bundles take turns while they are timed."""

    bundle: str
    kind: str
    task: str
    bytes: int
    median_ms: float
    exact_match: float


class Comparison(Frozen):
    """The full comparison of A and B.

    ``mcnemar_p`` is the exact (binomial) p-value of the ``only_a_right`` and ``only_b_right`` rows (McNemar 1947).
    """

    a: Side
    b: Side
    dataset: str
    split: str
    fingerprint: str
    n: int
    resamples: int
    seed: int
    metrics: dict[str, Difference]
    labels: dict[str, LabelChange]
    only_a_right: int
    only_b_right: int
    mcnemar_p: float
    flips: int
    rows: list[ChangedRow]
    verdict: str
    reason: str
    gates: tuple[Gate, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(gate.holds for gate in self.gates)

    def without_texts(self) -> Comparison:
        """A copy without any utterance."""
        return self.model_copy(update={"rows": [row.model_copy(update={"text": ""}) for row in self.rows]})

    def measured(self) -> dict[str, float | None]:
        """Values that gates can use: differences B - A (``.low`` and ``.high`` of their intervals), rates, ratios."""
        found: dict[str, float | None] = {}
        named = {**self.metrics, **{f"f1[{name}]": change.f1 for name, change in self.labels.items()}}
        for name, change in named.items():
            found[name] = change.difference.value
            found[f"{name}.low"], found[f"{name}.high"] = change.difference.low, change.difference.high
        return found | {
            "flips": self.flips / self.n,
            "regressions": self.only_a_right / self.n,
            "mcnemar_p": self.mcnemar_p,
            "size_ratio": self.b.bytes / self.a.bytes,
            "latency_ratio": self.b.median_ms / self.a.median_ms,
        }


def compare(
    a: Classifier,
    b: Classifier,
    split: Split,
    *,
    dataset: str = "",
    gate: str = "",
    resamples: int = 1000,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Comparison:
    """Compare ``b`` with ``a`` by their decided label sets. A joint label is split into the labels it combines.

    Raises:
        DataError: the split has no rows.
        GateInvalid: ``gate`` cannot be parsed.
        ValueError: ``resamples`` is less than 1.
    """
    held = split.held()
    examples = list(held)
    decided = [_label_sets(classifier, held, reporter) for classifier in (a, b)]
    gold = [data_spec(a.bundle).parts(frozenset(example.labels)) for example in examples]
    names = LabelSet(sorted({label for row in (*gold, *decided[0], *decided[1]) for label in row}))
    left, right = (outcome_of(gold, sets, names) for sets in decided)
    metrics, labels = paired(left, right, names, resamples, seed)
    a_right, b_right = curves.right(left), curves.right(right)
    only_a, only_b, p_value = mcnemar(a_right, b_right)
    rows = _changed_rows(examples, gold, decided[0], decided[1], a_right, b_right)
    times = milliseconds((a, b), [example.text for example in examples])
    verdict, reason = judge(metrics["exact_match"].difference, only_a, only_b, p_value)
    found = Comparison(
        a=_side(a, times[0], a_right),
        b=_side(b, times[1], b_right),
        dataset=dataset,
        split=split.name,
        fingerprint=held.fingerprint,
        n=len(examples),
        resamples=resamples,
        seed=seed,
        metrics=metrics,
        labels=labels,
        only_a_right=only_a,
        only_b_right=only_b,
        mcnemar_p=round(p_value, 6),
        flips=len(rows),
        rows=rows[:_MOST_ROWS],
        verdict=verdict,
        reason=reason,
    )
    return found.model_copy(update={"gates": tuple(check_gates(gate, found.measured()))}) if gate else found


def _label_sets(classifier: Classifier, split: Split, reporter: Reporter) -> LabelSets:
    """The decided labels of each row, with joint labels split into the labels they combine."""
    spec = data_spec(classifier.bundle)
    return [spec.parts(labels) for labels in answer(classifier, split, reporter).decided]


def _changed_rows(
    examples: Sequence[Example], gold: LabelSets, a: LabelSets, b: LabelSets, a_right: BoolArray, b_right: BoolArray
) -> list[ChangedRow]:
    """Rows that are classified differently: first those that became wrong, then those that became right."""
    rows = [
        ChangedRow(
            row=example.row or at + 1,
            text=example.text,
            gold=tuple(sorted(gold[at])),
            a=tuple(sorted(a[at])),
            b=tuple(sorted(b[at])),
            direction="broken" if a_right[at] else "fixed" if b_right[at] else "changed",
        )
        for at, example in enumerate(examples)
        if a[at] != b[at]
    ]
    return sorted(rows, key=lambda row: ("broken", "fixed", "changed").index(row.direction))


def outcome_of(gold: LabelSets, decided: LabelSets, names: LabelSet) -> Outcome:
    """Label sets as an outcome without probabilities."""
    given = names.encode(decided)
    return Outcome(names.encode(gold), given, given.astype(np.float32), Task.MULTILABEL)


def set_metrics(outcome: Outcome, weights: Values) -> dict[str, Values]:
    """The metrics that models of any task have in common, each ``(n_resamples,)``."""
    found = averaged(Counts.of(outcome, weights))
    found["exact_match"] = weights @ curves.right(outcome).astype(np.float64) / weights.sum(axis=1)
    return {name: found[name] for name in AVERAGES}


def paired(
    a: Outcome | Sequence[Outcome], b: Outcome | Sequence[Outcome], names: LabelSet, resamples: int, seed: int
) -> tuple[dict[str, Difference], dict[str, LabelChange]]:
    """Metrics and labels of both sides and their difference B - A, with intervals over the same resampled rows.

    Several outcomes of one side (seeds of one recipe) are averaged (Efron & Tibshirani 1993, ch. 13).
    """
    sides = [[side] if isinstance(side, Outcome) else list(side) for side in (a, b)]

    def measured(weights: Values) -> dict[str, Values]:
        left, right = (_means(side, weights) for side in sides)
        return {name: np.stack([left[name], right[name]], axis=-1) for name in left}

    point, spread = bootstrapped(measured, len(sides[0][0]), resamples, seed)
    metrics = {name: _difference(point[name][0], spread[name]) for name in AVERAGES}
    wrong_a, wrong_b = (np.mean([outcome.gold != outcome.decided for outcome in side], axis=0) for side in sides)
    labels = {
        name: LabelChange(
            support=int(sides[0][0].gold[:, column].sum()),
            f1=_difference(point[_PER_LABEL][0, column], spread[_PER_LABEL][:, column]),
            fixed=int((wrong_a > wrong_b)[:, column].sum()),
            broken=int((wrong_b > wrong_a)[:, column].sum()),
        )
        for column, name in enumerate(names)
    }
    return metrics, labels


def _means(side: Sequence[Outcome], weights: Values) -> dict[str, Values]:
    """Averages over the outcomes of a side: metrics ``(n_resamples,)``, F1 per label ``(n_resamples, n_labels)``."""
    found = [
        set_metrics(outcome, weights) | {_PER_LABEL: per_label(Counts.of(outcome, weights))["f1"]} for outcome in side
    ]
    return {name: np.mean([metrics[name] for metrics in found], axis=0) for name in found[0]}


def _difference(both: Values, spread: Values) -> Difference:
    """The difference of a metric, from its values for A and B ``(2,)`` and in each resample ``(n_resamples, 2)``."""
    a, b = (None if np.isnan(value) else rounded(value) for value in both)
    return Difference(a=a, b=b, difference=estimate(both[1] - both[0], spread[:, 1] - spread[:, 0]))


def mcnemar(a_right: BoolArray, b_right: BoolArray) -> tuple[int, int, float]:
    """Rows that only A gets right, rows that only B gets right, and the exact two-sided p-value (McNemar 1947)."""
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    p_value = float(binomtest(only_b, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return only_a, only_b, p_value


def judge(exact: Estimate, only_a: int, only_b: int, p_value: float) -> tuple[str, str]:
    """``better``, ``worse`` or ``no difference shown``, and the reason. Both tests must agree on a difference."""
    interval = f"{_points(exact.low)} to {_points(exact.high)} points"
    facts = (
        f"exact match changes by {_points(exact.value)} points (95 % interval: {interval}); {only_b} rows fixed, "
        f"{only_a} broken (McNemar p = {p_value:.3g})"
    )
    low, high = exact.low or 0.0, exact.high or 0.0
    if p_value < _SURE and low > 0:
        return "better", f"B is better: {facts}."
    if p_value < _SURE and high < 0:
        return "worse", f"B is worse: {facts}."
    return "no difference shown", f"No significant difference: {facts}. Changes outside this interval are unlikely."


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:+.2f}"


def _side(classifier: Classifier, times: Sequence[float], right: BoolArray) -> Side:
    manifest = classifier.bundle.manifest
    return Side(
        bundle=manifest.id,
        kind=manifest.kind,
        task=manifest.task,
        bytes=classifier.bundle.size,
        median_ms=round(statistics.median(times), 3),
        exact_match=round(float(right.mean()), 6),
    )
