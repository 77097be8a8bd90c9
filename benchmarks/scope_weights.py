"""Learns what each signal of `in_scope` weighs, from data whose labels are held out of training in turn.

    python benchmarks/scope_weights.py --output results/out_of_scope/weights.json

In each round a third of the labels of a dataset are taken out, drawn at random or as a cluster of similar ones, a model
is trained on the others, and the rows of the labels that it never saw play out of scope, with rows of other datasets.
Signals are standardised on rows in scope that training did not see. One logistic regression over all rounds gives the
weights in `training/scoping.py`; `other_data` is what the weights learnt from all other datasets reach. Only training
rows are used, few of them a label, because the data of our users are small.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from purport import Dataset, Example
from purport.data.catalog import load
from purport.data.reading import Reading
from purport.evaluation.report import machine
from purport.kinds.recipe import Recipe
from purport.labels import Task
from purport.runtime.memory import Memory
from purport.runtime.onnx import OnnxScorer, ReadingFacts
from purport.runtime.scope import SIGNALS, signals, standardised
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

DATASETS = {"sample": 30, "banking77": 10, "clinc150": 10, "snips": 40}  # and rows of each label
_HELD, _MOST = 0.3, 1_500
_EPOCHS_TEXTS = 12_000
_NEAR, _FAR = 0.6, 0.4  # of the weight of rows out of scope


@dataclass(frozen=True)
class Round:
    """Signals of rows in scope, of held-out labels and of other datasets, ``(n, n_signals)`` each."""

    name: str
    inside: NDArray[np.float64]
    near: NDArray[np.float64]
    far: NDArray[np.float64]

    @property
    def standard(self) -> tuple[NDArray[np.float64], ...]:
        """All three, in standard deviations of the rows in scope."""
        centers, scales = self.inside.mean(axis=0), np.maximum(self.inside.std(axis=0), 1e-3)
        return tuple(
            standardised(each, centers.tolist(), scales.tolist()) for each in (self.inside, self.near, self.far)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    arguments = parser.parse_args()
    rounds = []
    for name in arguments.datasets:
        for seed in arguments.seeds:
            for similar in (False, True):
                rounds.append(play(name, seed, similar))
                print(rounds[-1].name, alone(rounds[-1]), flush=True)
    report = {"machine": machine(), "signals": SIGNALS, **fitted(rounds), "rounds": {}}
    for each in rounds:
        others = [other for other in rounds if other.name.split()[0] != each.name.split()[0]]
        report["rounds"][each.name] = alone(each) | {"other_data": reached(each, fitted(others)["weights"])}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps({"weights": report["weights"], "bias": report["bias"]}))


def play(name: str, seed: int, similar: bool) -> Round:
    """Hold labels out, train, and look at the signals."""
    rng = np.random.default_rng(seed)
    rows = [row for row in load(name, Reading(unlabelled="out_of_scope"))["train"] if len(row.labels) == 1]
    order = rng.permutation(len(rows))
    by_label: dict[str, list[Example]] = {}
    for at in order:
        by_label.setdefault(rows[at].labels[0], []).append(rows[at])
    held = held_out(by_label, similar, rng)
    learnt, kept = [], []
    for label, found in by_label.items():
        if label not in held:
            cut = max(2, min(DATASETS[name], len(found) * 2 // 3))
            learnt += found[:cut]
            kept += [row.text for row in found[cut:]]
    strange = [row.text for label in held for row in by_label[label]][:_MOST]
    other = [row.text for each in DATASETS if each != name for row in _some(each, rng)]
    with tempfile.TemporaryDirectory() as work:
        scorer, memory = trained(learnt, seed, Path(work))
    three = (_signals(scorer, memory, texts) for texts in (kept[:_MOST], strange, other))
    return Round(f"{name} {seed} {'similar' if similar else 'random'}", *three)


def held_out(by_label: dict[str, list[Example]], similar: bool, rng: np.random.Generator) -> list[str]:
    """A third of the labels."""
    labels = sorted(by_label)
    count = max(2, round(_HELD * len(labels)))
    if not similar:
        return [labels[at] for at in rng.choice(len(labels), count, replace=False)]
    texts = [" ".join(row.text for row in by_label[label][:50]) for label in labels]
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    nearness = (vectors @ vectors[int(rng.integers(len(labels)))].T).toarray()[:, 0]
    return [labels[at] for at in np.argsort(-nearness)[:count]]


def trained(rows: Sequence[Example], seed: int, work: Path) -> tuple[OnnxScorer, Memory]:
    """A model of ``rows``, and its memory."""
    epochs = int(np.clip(np.ceil(_EPOCHS_TEXTS / len(rows)), 6, 20))
    recipe: Recipe = parse_recipe(
        {"kind": "encoder", "task": "multiclass", "seed": seed, "data": {"name": "held-out"}, "fit": {"epochs": epochs}}
    )
    data = Dataset.from_examples({"train": rows}, task=Task.MULTICLASS).with_share("valid", 0.1, seed=seed)
    bundle = train(recipe, work / "bundle", dataset=data)
    assert bundle is not None
    scorer = OnnxScorer.load(bundle.path, len(bundle.labels), bundle.facts(ReadingFacts), threads=1)
    memory = Memory.load(bundle.path, len(bundle.labels))
    assert memory is not None
    return scorer, memory


def _signals(scorer: OnnxScorer, memory: Memory, texts: list[str]) -> NDArray[np.float64]:
    found = scorer.score(texts)
    assert found.embedding is not None
    return signals(found.logits, found.embedding, found.familiar, Task.MULTICLASS, memory)


def _some(name: str, rng: np.random.Generator) -> list[Example]:
    rows = list(load(name, Reading(unlabelled="out_of_scope"))["train"])
    return [rows[at] for at in rng.integers(len(rows), size=100)]


def fitted(rounds: Sequence[Round]) -> dict[str, Any]:
    """Weights and bias of one logistic regression; each round, and each side of it, weighs the same."""
    rows, truth, weights = [], [], []
    for each in rounds:
        for found, inside, weight in zip(each.standard, (1, 0, 0), (1.0, _NEAR, _FAR), strict=True):
            rows.append(found)
            truth += [inside] * len(found)
            weights += [1_000 * weight / len(found)] * len(found)
    model = LogisticRegression(C=1e3, max_iter=1_000).fit(np.vstack(rows), truth, sample_weight=weights)
    return {"weights": model.coef_[0].round(3).tolist(), "bias": round(float(model.intercept_[0]), 3)}


def alone(played: Round) -> dict[str, Any]:
    """AUROC of each signal alone, against held-out labels and against other datasets."""
    return {name: _aurocs(played, np.eye(len(SIGNALS))[at]) for at, name in enumerate(SIGNALS)}


def reached(played: Round, weights: Sequence[float]) -> list[float]:
    """AUROC of the weighted sum."""
    return _aurocs(played, np.array(weights))


def _aurocs(played: Round, weights: NDArray[np.float64]) -> list[float]:
    inside, near, far = (found @ weights for found in played.standard)
    return [
        round(float(roc_auc_score(np.r_[np.ones(len(inside)), np.zeros(len(other))], np.r_[inside, other])), 4)
        for other in (near, far)
    ]


if __name__ == "__main__":
    main()
