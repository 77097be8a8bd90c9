"""The shipped bundle on the public data it was trained for: what results/ says is what is measured here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from purport import Classifier, evaluate
from purport.data.dataset import Dataset
from purport.data.formats import Layout
from purport.data.reading import Reading
from purport.evaluation.rows import evaluation_split
from purport.training.recipe import load_recipe

ROOT = Path(__file__).parents[2]


def test_the_shipped_bundle_reaches_its_reported_numbers(public_data: Path) -> None:
    classifier = Classifier.open("atis")
    name, split = evaluation_split(classifier.bundle, "test")
    result = evaluate(classifier, split, dataset=name, resamples=100)
    assert result.n == 850 and result.unseen_labels == {"day_name": 2}
    values = {metric: estimate.value for metric, estimate in result.metrics.items()}
    # XLM-R base with LoRA, which has twelve times the weights.
    assert values["f1_micro"] > 0.9761 and values["subset_accuracy"] > 0.9624
    assert values["f1_macro"] >= 0.83
    assert classifier.bundle.size <= 30_000_000
    reported = json.loads((ROOT / "results" / "atis.json").read_text("utf-8"))["runs"]["atis"][0]
    assert reported["bundle"] == classifier.bundle.manifest.id
    # Other processors may round an answer near its threshold the other way: one row is 0.0012.
    for metric in ("f1_micro", "subset_accuracy"):
        assert abs(values[metric] - reported["test"]["metrics"][metric]["value"]) <= 0.0025, metric


def test_the_shipped_bundle_rests_on_train_only(public_data: Path) -> None:
    classifier = Classifier.open("atis")
    recipe = load_recipe(ROOT / "recipes" / "atis.toml")
    dataset = recipe.data.load(recipe.task, recipe.seed)
    assert dataset.fingerprint == classifier.bundle.manifest.provenance.fingerprint
    assert recipe.data.train == "train" and recipe.data.valid == 0.1
    assert set(dataset.labels) == set(dataset["train"].label_counts)


def test_no_answer_of_the_shipped_bundle_depends_on_batch_mates(public_data: Path) -> None:
    classifier = Classifier.open("atis")
    _, split = evaluation_split(classifier.bundle, "test")
    texts = list(split.texts)
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = classifier.answer([texts[row] for row in order])
    alone = [classifier.answer([text]) for text in texts]
    together = classifier.decide(shuffled).labels
    for place, row in enumerate(order):
        assert (classifier.decide(alone[row]).labels[0] == together[place]).all()
    change = [
        np.abs(alone[row].probabilities[0] - shuffled.probabilities[place]).max() for place, row in enumerate(order)
    ]
    assert max(change) <= 1e-3


def test_every_public_dataset_is_read_whole(public_data: Path) -> None:
    for directory in sorted(path for path in public_data.iterdir() if path.is_dir()):
        files = {file.stem: file for file in directory.glob("*.tsv")}
        # As the catalog says: a first row with a label of its own would be in doubt.
        reading = Reading(layout=Layout(header=False))
        dataset = Dataset.from_files(files, name=directory.name, reading=reading)
        for name, split in dataset.splits.items():
            lines = (directory / f"{name}.tsv").read_text("utf-8").splitlines()
            assert len(split) == len(lines), f"{directory.name} {name}"
