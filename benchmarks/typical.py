"""What the first texts in the order of ``purport label`` are worth, against as many random ones.

A linear SVM on TF-IDF learns from the first ``n`` different training texts, with their gold labels, and is measured on
the test split. `python benchmarks/typical.py --output results/typical.json`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from purport import load_dataset
from purport.evaluation.report import machine
from purport.labelling.typical import typical_first

DATASETS = ("banking77", "clinc150", "snips")
SIZES = (150, 300, 500, 900, 1500)
RANDOM = 5  # random choices that are averaged


def measured(name: str) -> dict[str, dict[str, float]]:
    """Accuracies in percent, by number of texts."""
    dataset = load_dataset(name)
    train = {example.text: "+".join(example.labels) for example in dataset["train"]}
    texts, labels = list(train), np.array(list(train.values()))
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit(texts)
    known, asked = vectors.transform(texts), vectors.transform(list(dataset["test"].texts))
    gold = np.array(["+".join(labels) for labels in dataset["test"].gold])

    def accuracy(rows: NDArray[np.intp]) -> float:
        return 100 * float((LinearSVC(random_state=0).fit(known[rows], labels[rows]).predict(asked) == gold).mean())

    order, found = typical_first(texts, 0), {}
    for size in SIZES:
        chance = [accuracy(np.random.default_rng(seed).permutation(len(texts))[:size]) for seed in range(RANDOM)]
        found[str(size)] = {
            "typical": round(accuracy(order[:size]), 2),
            "random": round(float(np.mean(chance)), 2),
            "random_deviation": round(float(np.std(chance)), 2),
        }
        print(name, size, found[str(size)], flush=True)
    return found


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    found = {name: measured(name) for name in DATASETS}
    output.write_text(json.dumps({"machine": machine(), "datasets": found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
