"""Multiclass against multilabel on ATIS: both recipes, three seeds each, compared on the same 850 rows.

Called by scripts/results.py with the trained bundles; writes results/atis/multiclass-vs-multilabel.json.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np

from purport import Classifier
from purport.data.spec import data_spec
from purport.evaluation.compare import AVERAGES, mcnemar, outcome_of, paired
from purport.evaluation.comparison import judge
from purport.evaluation.curves import right
from purport.evaluation.evaluate import answer
from purport.evaluation.rows import evaluation_split
from purport.labels import LabelSet

RESAMPLES, SEED = 2000, 0


def experiment(multiclass: list[Path], multilabel: list[Path]) -> dict[str, Any]:
    """Decided label sets of every bundle on the test split, and what they differ in. A is multiclass."""
    sides: dict[str, list[list[frozenset[str]]]] = {"multiclass": [], "multilabel": []}
    gold: list[frozenset[str]] = []
    for side, bundles in (("multiclass", multiclass), ("multilabel", multilabel)):
        for path in bundles:
            classifier = Classifier.open(path)
            _, split = evaluation_split(classifier.bundle, "test")
            answered = answer(classifier, split)
            spec = data_spec(classifier.bundle)
            sides[side].append([spec.parts(labels) for labels in answered.decided])
            found = [spec.parts(frozenset(example.labels)) for example in answered.examples]
            assert not gold or gold == found, "the two were not measured on the same rows"
            gold = found
    everything = [labels for side in sides.values() for run in side for labels in run]
    names = LabelSet(sorted({label for row in (*gold, *everything) for label in row}))
    outcomes = {side: [outcome_of(gold, run, names) for run in runs] for side, runs in sides.items()}
    metrics, labels = paired(outcomes["multiclass"], outcomes["multilabel"], names, RESAMPLES, SEED)
    several = np.array([len(row) > 1 for row in gold])
    by_seed = []
    for a, b in zip(outcomes["multiclass"], outcomes["multilabel"], strict=True):
        only_a, only_b, p_value = mcnemar(right(a), right(b))
        single, _ = paired(a, b, names, RESAMPLES, SEED)
        by_seed.append(
            {
                "metrics": {name: change.model_dump() for name, change in single.items()},
                "only_multiclass_right": only_a,
                "only_multilabel_right": only_b,
                "mcnemar_p": p_value,
                "verdict": judge(single["exact_match"].difference, only_a, only_b, p_value, len(gold))[0],
            }
        )
    joint = {side: [float(right(o)[several].mean()) for o in found] for side, found in outcomes.items()}
    trained = {row for bundle in multilabel[:1] for row in _trained(bundle)}
    new = np.array([tuple(sorted(row)) not in trained for row in gold])
    unseen = {side: [float(right(o)[new].mean()) for o in found] for side, found in outcomes.items()}
    return {
        "rows": len(gold),
        "rows_with_several_labels": int(several.sum()),
        "rows_with_new_combination": int(new.sum()),
        "seeds": len(multilabel),
        "resamples": RESAMPLES,
        "mean_over_seeds": {name: metrics[name].model_dump() for name in AVERAGES},
        "spread_over_seeds": {
            side: {name: statistics.stdev(_values(by_seed, name, key)) for name in AVERAGES}
            for side, key in (("multiclass", "a"), ("multilabel", "b"))
        },
        "exact_match_on_several_labels": joint,
        "exact_match_on_new_combinations": unseen,
        "by_seed": by_seed,
        "labels": {name: change.model_dump() for name, change in labels.items()},
    }


def _values(by_seed: list[dict[str, Any]], name: str, key: str) -> list[float]:
    return [float(found["metrics"][name][key]) for found in by_seed]


def _trained(bundle: Path) -> set[tuple[str, ...]]:
    _, train = evaluation_split(Classifier.open(bundle).bundle, "train")
    return set(train.gold)
