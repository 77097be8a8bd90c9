"""How well a bundle tells what is out of scope, how it keeps its promises, and what typing errors cost it.

    python benchmarks/out_of_scope.py bundles/clinc clinc150 --strangers oos_test --output results/out_of_scope/a.json

DATA is a directory with `test.tsv` and a file for each of `--strangers`, which hold texts that no label covers: text,
tab, label. `in_scope` is compared with the probability of the likeliest label (`probability`), and the
cosine of the text's vector and the nearest training example of that label (`similarity`). `found` is the share of
strangers below the score that 95 % of the test rows reach. Typing errors are those of `purport.data.noise`, drawn from
fixed seeds.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from purport import Classifier
from purport.data.dataset import file_split
from purport.data.noise import typos
from purport.data.reading import Reading
from purport.evaluation.confidence import top_label_calibration_error
from purport.evaluation.outcome import Outcome
from purport.evaluation.report import machine
from purport.labels import Task
from purport.model import Answers, FloatArray
from purport.runtime.asking import ask

_KEPT = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="a multiclass bundle with a memory")
    parser.add_argument("data", help="a directory, or a name in $PURPORT_DATA_DIR")
    parser.add_argument("--strangers", nargs="*", default=[], help="splits without a row in scope")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    data = Path(arguments.data)
    data = data if data.is_dir() else Path(os.environ["PURPORT_DATA_DIR"], arguments.data)
    classifier = Classifier.open(arguments.bundle, threads=1)
    report = {"machine": machine(), "data": data.name, **measure(classifier, data, arguments.strangers)}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1))


def measure(classifier: Classifier, data: Path, strangers: list[str]) -> dict[str, Any]:
    """Everything about one bundle."""
    manifest = classifier.bundle.manifest
    texts, gold = read(data / "test.tsv")
    answers = ask(classifier.answer, texts)
    right = rightness(classifier, answers, gold)
    found: dict[str, Any] = {
        "bundle": manifest.id,
        "kind": manifest.kind,
        "megabytes": round(classifier.bundle.size / 1e6, 1),
        "form": manifest.model.model_dump().get("quantize"),
        "test_rows": len(texts),
        "accuracy": percent(right.mean()),
        "expected_calibration_error": percent(calibration_error(classifier, answers, gold)),
        "kept_at_cut": percent((answers.in_scope >= manifest.decision.in_scope_at).mean()),
    }
    for errors, seed in ((1, 7), (3, 8)):
        typed = [typos(text, errors, np.random.default_rng((seed, row))) for row, text in enumerate(texts)]
        found[f"accuracy_typo_{errors}"] = percent(rightness(classifier, ask(classifier.answer, typed), gold).mean())
    known = scores(classifier, answers)
    for name in strangers:
        other = ask(classifier.answer, read(data / f"{name}.tsv")[0])
        strange = scores(classifier, other)
        found[name] = {
            "rows": len(other.in_scope),
            "rejected_at_cut": percent((other.in_scope < manifest.decision.in_scope_at).mean()),
            **{score: compared(values, strange[score]) for score, values in known.items()},
            "best_mcc": best_mcc(classifier, (answers, other), gold, (known, strange)),
        }
    return found


def read(file: Path) -> tuple[list[str], list[str]]:
    """Texts and labels."""
    rows = list(file_split(file.stem, file, Reading(Task.MULTICLASS)))
    return [row.text for row in rows], [row.labels[0] for row in rows]


def rightness(classifier: Classifier, answers: Answers, gold: list[str]) -> NDArray[np.bool_]:
    """Whether the likeliest label is right."""
    best = [classifier.labels.names[at] for at in answers.probabilities.argmax(axis=1)]
    return np.array([label == expected for label, expected in zip(best, gold, strict=True)])


def scores(classifier: Classifier, answers: Answers) -> dict[str, FloatArray]:
    """The score, and the two that it must beat: probability of the likeliest label, cosine to its nearest example."""
    _, memory = classifier.remembering()
    assert answers.embedding is not None, "a model with a memory makes vectors"
    label, cosine = answers.probabilities.argmax(axis=1), np.zeros_like(answers.in_scope)
    for each in np.unique(label):
        examples = memory.members(int(each))
        vectors = memory.vectors[examples] * memory.scales[examples][:, None]
        cosine[label == each] = (answers.embedding[label == each] @ vectors.T).max(axis=1)
    return {"in_scope": answers.in_scope, "probability": answers.probabilities.max(axis=1), "similarity": cosine}


def compared(inside: FloatArray, outside: FloatArray) -> dict[str, float]:
    """AUROC, and the share of strangers found where 95 % of the test rows are kept."""
    truth = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    auroc = roc_auc_score(truth, np.r_[inside, outside])
    cut = np.quantile(inside, 1 - _KEPT)
    return {"auroc": round(float(auroc), 4), "found": percent((outside < cut).mean())}


def best_mcc(
    classifier: Classifier, answers: tuple[Answers, Answers], gold: list[str], scored: tuple[dict[str, FloatArray], ...]
) -> dict[str, float]:
    """The highest Matthews correlation over all cuts of each score, with "none" as one more class."""
    names = classifier.labels.names
    best = [names[at] for part in answers for at in part.probabilities.argmax(axis=1)]
    truth = np.array([*gold, *[""] * len(answers[1].in_scope)])
    found = {}
    for name in scored[0]:
        score = np.r_[scored[0][name], scored[1][name]]
        cuts = np.quantile(score, np.linspace(0, 1, 101))
        found[name] = round(max(matthews_corrcoef(truth, np.where(score >= cut, best, "")) for cut in cuts), 4)
    return found


def calibration_error(classifier: Classifier, answers: Answers, gold: list[str]) -> float:
    """The gap between the confidence of the likeliest label and how often it is right."""
    truth = classifier.labels.encode([(label,) for label in gold])
    outcome = Outcome(truth, np.zeros_like(truth), answers.probabilities, Task.MULTICLASS)
    return float(top_label_calibration_error(outcome, np.ones((1, len(gold))))[0])


def percent(share: float) -> float:
    return round(100 * float(share), 2)


if __name__ == "__main__":
    main()
