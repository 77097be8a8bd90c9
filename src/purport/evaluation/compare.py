"""Compares two bundles on the same rows; every difference is paired."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import TypedDict

import numpy as np
from scipy.stats import binomtest

from ..classifier import Classifier
from ..data import shares
from ..data.dataset import Split
from ..data.reading import Example
from ..data.spec import data_spec
from ..errors import DataError
from ..labels import LabelSet, Task
from ..model import BoolArray
from ..progress import SILENT, Reporter
from ..wording import count
from . import curves
from .comparison import ChangedRow, Comparison, Difference, LabelChange, RobustnessChange, Side, judge
from .evaluate import answer
from .gates import gate_names
from .label_tests import label_p_values
from .metrics import Counts, averaged, out_of_scope, per_label
from .outcome import Outcome, Values
from .report import milliseconds
from .resampling import Estimate, bootstrapped, estimate, rounded
from .robustness import CLEAN, PERTURBATIONS, doing, perturbed, sampled

_MOST_ROWS = 500
AVERAGES = ("f1_micro", "f1_macro", "precision_micro", "recall_micro", "exact_match")
METRICS = (*AVERAGES, "out_of_scope_precision", "out_of_scope_recall")
_PER_LABEL = "f1 per label"

LabelSets = list[frozenset[str]]


class _Known(TypedDict):
    only_a_knows: dict[str, int]
    only_b_knows: dict[str, int]
    unknown: dict[str, int]


def compare(
    a: Classifier,
    b: Classifier,
    split: Split,
    *,
    dataset: str = "",
    gate: str = "",
    robustness: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Comparison:
    """Compare ``b`` with ``a`` by their decided label sets. A joint label is split into the labels it combines.
    Rows that only one of the two has learned from are left out: they would flatter it.

    ``robustness`` also compares them on perturbed texts (see :mod:`.robustness`); otherwise only on those that ``gate``
    asks for.

    Raises:
        DataError: the split has no rows, or none of them is fair to both.
        GateInvalid: ``gate`` cannot be parsed.
        ValueError: ``resamples`` is less than 1.
    """
    wanted = [name for name in PERTURBATIONS if robustness or name in gate_names(gate)]
    held, examples, unfair = _fair(a, b, split)
    gold, decided, known = _answered(a, b, held, reporter)
    names = LabelSet(sorted(frozenset().union(*gold, *known)))
    left, right = (outcome_of(gold, sets, names) for sets in decided)
    metrics, labels = paired(left, right, names, resamples, seed)
    a_right, b_right = curves.right(left), curves.right(right)
    rows = _changed_rows(examples, gold, decided[0], decided[1], a_right, b_right)
    times = milliseconds((a, b), [example.text for example in examples])
    return Comparison(
        a=_side(a, times[0], a_right),
        b=_side(b, times[1], b_right),
        dataset=dataset,
        split=split.name,
        fingerprint=held.fingerprint,
        n=len(examples),
        left_out=unfair,
        resamples=resamples,
        seed=seed,
        metrics=metrics,
        labels=_tested(labels, left, right),
        **_known(labels, *known),
        flips=len(rows),
        rows=rows[:_MOST_ROWS],
        robustness=_robustness(a, b, examples, wanted, resamples, seed, reporter) if wanted else None,
        **_judged(metrics["exact_match"].difference, a_right, b_right, unfair),
    ).gated(gate)


def _tested(labels: Mapping[str, LabelChange], a: Outcome, b: Outcome) -> dict[str, LabelChange]:
    """``labels`` with the p-values of their changes."""
    values = zip(labels.items(), label_p_values(a, b), strict=True)
    return {name: change.model_copy(update={"p_value": value}) for (name, change), value in values}


def _known(labels: Mapping[str, LabelChange], a: frozenset[str], b: frozenset[str]) -> _Known:
    """The labels that not both bundles know, each with the number of rows that carry it."""
    rows = {name: change.support for name, change in labels.items()}

    def only(names: Collection[str]) -> dict[str, int]:
        return {name: n for name, n in rows.items() if name in names}

    return _Known(only_a_knows=only(a - b), only_b_knows=only(b - a), unknown=only(rows.keys() - a - b))


def _answered(
    a: Classifier, b: Classifier, split: Split, reporter: Reporter, what: str = "classifying"
) -> tuple[LabelSets, list[LabelSets], list[frozenset[str]]]:
    """The gold label sets, those that each side decides, and the labels that each side knows.

    Joint labels are split into the labels they combine.
    """
    specs = [data_spec(side.bundle) for side in (a, b)]
    gold = [specs[0].parts(frozenset(example.labels)) for example in split]
    decided = [
        [spec.parts(labels) for labels in answer(side, split, reporter, what).decided]
        for side, spec in zip((a, b), specs, strict=True)
    ]
    return gold, decided, [spec.parts(frozenset(side.labels)) for side, spec in zip((a, b), specs, strict=True)]


class _Judged(TypedDict):
    only_a_right: int
    only_b_right: int
    mcnemar_p: float
    verdict: str
    reason: str


def _judged(exact: Estimate, a_right: BoolArray, b_right: BoolArray, unfair: int) -> _Judged:
    only_a, only_b, p_value = mcnemar(a_right, b_right)
    verdict, reason = judge(exact, only_a, only_b, p_value, len(a_right))
    left_out = f" {count(unfair, 'row')} left out: only one of the two has learned from them." if unfair else ""
    return _Judged(
        only_a_right=only_a,
        only_b_right=only_b,
        mcnemar_p=round(p_value, 6),
        verdict=verdict,
        reason=reason + left_out,
    )


def _fair(a: Classifier, b: Classifier, split: Split) -> tuple[Split, list[Example], int]:
    """The rows that both bundles or neither have learned from, twice, and the number of others."""
    held = split.held()
    examples = list(held)
    left, right = (shares.learned(each.bundle.path, examples) for each in (a, b))
    unfair = left != right
    if examples and unfair.all():
        raise DataError(
            f"all {len(examples):,} rows were training rows of one of the two bundles, so that they say nothing about "
            "which is better; compare on other rows: pass --data"
        )
    fair = held.where(~unfair, split.name).held() if unfair.any() else held
    return fair, list(fair), int(unfair.sum())


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
    found = averaged(Counts.of(outcome, weights)) | out_of_scope(outcome, weights)
    found["exact_match"] = weights @ curves.right(outcome).astype(np.float64) / weights.sum(axis=1)
    return {name: found[name] for name in METRICS}


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
    metrics = {name: _difference(point[name][0], spread[name]) for name in METRICS}
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


def _robustness(
    a: Classifier,
    b: Classifier,
    examples: Sequence[Example],
    names: Sequence[str],
    resamples: int,
    seed: int,
    reporter: Reporter,
) -> RobustnessChange:
    """Exact match of both on the clean texts and on those of the perturbations ``names``, over the same rows."""
    chosen, right = [examples[row] for row in sampled(examples, seed=seed)], []
    for name in (CLEAN, *names):
        gold, decided, _ = _answered(a, b, perturbed(chosen, name, seed), reporter, doing(name))
        right.append([[given == truth for given in row] for truth, *row in zip(gold, *decided, strict=True)])
    both = np.array(right, dtype=np.float64).transpose(1, 0, 2)  # (n, n_names, 2)

    def measured(weights: Values) -> dict[str, Values]:
        return {"right": np.tensordot(weights, both, 1) / weights.sum(axis=1)[:, None, None]}

    point, spread = bootstrapped(measured, len(chosen), resamples, seed)
    return RobustnessChange(
        n=len(chosen),
        rows=len(examples),
        exact_match={
            name: _difference(point["right"][0, at], spread["right"][:, at]) for at, name in enumerate((CLEAN, *names))
        },
    )


def mcnemar(a_right: BoolArray, b_right: BoolArray) -> tuple[int, int, float]:
    """Rows that only A gets right, rows that only B gets right, and the exact two-sided p-value (McNemar 1947)."""
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    p_value = float(binomtest(only_b, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return only_a, only_b, p_value


def _side(classifier: Classifier, times: Sequence[float], right: BoolArray) -> Side:
    manifest = classifier.bundle.manifest
    return Side(
        bundle=manifest.id,
        name=classifier.bundle.path.resolve().name,
        kind=manifest.kind,
        task=manifest.task,
        bytes=classifier.bundle.size,
        median_ms=round(statistics.median(times), 3),
        exact_match=round(float(right.mean()), 6),
    )
