"""How often the doctor is right where its fix plan says yes: planted label errors in public datasets.

    python benchmarks/doctor_precision.py --output results/doctor/precision.json

In the training rows of each dataset, 2, 5 and 10 % of the rows get another label in place of one of theirs: any other
one (uniform), or one of the three most similar ones by the cosine of their texts' TF-IDF (near). Then the check of
labels runs as in `purport doctor`, on 300, 1,000 and at most 10,000 rows. A proposed relabelling (apply = yes) is right
if it restores the original labels of a planted row. `precision` counts every other one as wrong, although public data
has errors of its own; `precision_on_planted` looks at planted rows only. The limits in `doctor/checks/label_errors.py`
were chosen on seeds 0 to 3; the committed result is of other seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from purport import Dataset, Example
from purport.data.catalog import load
from purport.data.reading import Reading
from purport.data.table import RowTable
from purport.doctor.checks import label_errors
from purport.doctor.examination import Examination
from purport.doctor.finding import Fix
from purport.evaluation import quick
from purport.evaluation.report import machine
from purport.progress import SILENT

DATASETS = ("atis", "snips", "banking77", "clinc150", "mixatis", "mixsnips", "sample")
ROWS = (300, 1_000, 10_000)
RATES = (0.02, 0.05, 0.1)
FLIPS = ("uniform", "near")
SEEDS = (10, 11)
_NEAREST = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+", default=DATASETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    arguments = parser.parse_args()
    started, sets = time.perf_counter(), []
    for name in arguments.datasets:
        examples = list(load(name, Reading(unlabelled="out_of_scope"))["train"])
        for rows in sorted({min(rows, len(examples)) for rows in ROWS}):
            sets.append(measure(name, examples, rows, arguments.seeds))
            print(line(sets[-1]), flush=True)
    report = {
        "machine": machine(),
        "seeds": list(arguments.seeds),
        "rates": RATES,
        "flips": FLIPS,
        "seconds": round(time.perf_counter() - started),
        "sets": sets,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def measure(name: str, examples: Sequence[Example], rows: int, seeds: Iterable[int]) -> dict[str, Any]:
    """All rates, ways to flip and seeds on one dataset of one size, in total and by rate and way."""
    total: Counter[str] = Counter()
    parts: dict[str, Counter[str]] = {}
    for flips in FLIPS:
        for rate in RATES:
            for seed in seeds:
                found = once(examples, rows, flips, rate, seed)
                total.update(found)
                parts.setdefault(f"{flips} {rate:.0%}", Counter()).update(found)
    return {"dataset": name, "rows": rows, **shares(total)} | {
        "parts": {part: shares(found) for part, found in parts.items()}
    }


def once(examples: Sequence[Example], rows: int, flips: str, rate: float, seed: int) -> Counter[str]:
    """Counts of planted rows, proposed fixes, proposed fixes on planted rows, and right ones."""
    rng = np.random.default_rng(seed)
    chosen = [examples[at] for at in rng.choice(len(examples), rows, replace=False)]
    table = RowTable.of(Dataset.from_examples({"train": [Example(row.text, row.labels) for row in chosen]}))
    wrong = planted(table, flips, rate, rng)
    noisy = [Example(row.text, wrong.get(at, row.labels)) for at, row in enumerate(chosen)]
    examination = Examination(RowTable.of(Dataset.from_examples({"train": noisy})), None, seed, SILENT)
    fixes = [fix for finding in label_errors.check(examination) for fix in finding.fixes]
    yes: list[Fix] = [fix for fix in fixes if fix.apply]
    return Counter(
        planted=len(wrong),
        suspected=sum(fix.row - 1 in wrong for fix in fixes),
        yes=len(yes),
        on_planted=sum(fix.row - 1 in wrong for fix in yes),
        right=sum(fix.row - 1 in wrong and fix.new_labels == chosen[fix.row - 1].labels for fix in yes),
    )


def planted(table: RowTable, flips: str, rate: float, rng: np.random.Generator) -> dict[int, tuple[str, ...]]:
    """New labels for a share of the rows, by position: one label of each is replaced by one that the row has not."""
    names = table.labels.names
    centroids = np.asarray((quick.features(table.texts).T @ table.matrix.astype(np.float32)).T)
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-9)
    nearest = (-(centroids @ centroids.T)).argsort(axis=1)
    wrong = {}
    for position in rng.choice(len(table), max(1, round(rate * len(table))), replace=False).tolist():
        labels = table.gold[position]
        if not labels:
            continue
        old = labels[rng.integers(len(labels))]
        others = [names[column] for column in nearest[table.labels.index(old)] if names[column] not in labels]
        if flips == "near":
            others = others[:_NEAREST]
        if others:
            wrong[position] = tuple(sorted({*labels} - {old} | {others[rng.integers(len(others))]}))
    return wrong


def shares(found: Counter[str]) -> dict[str, Any]:
    """Counts, and the shares they make; ``None`` where nothing was proposed."""
    yes, there, right = found["yes"], found["on_planted"], found["right"]
    return {
        "planted": found["planted"],
        "yes": yes,
        "precision": round(right / yes, 4) if yes else None,
        "precision_on_planted": round(right / there, 4) if there else None,
        "recall": round(right / max(found["planted"], 1), 4),
        "recall_of_suspicions": round(found["suspected"] / max(found["planted"], 1), 4),
    }


def line(found: dict[str, Any]) -> str:
    """One dataset of one size, for a person."""
    precision = "–" if found["precision"] is None else f"{found['precision']:.3f}"
    return (
        f"{found['dataset']:18s}{found['rows']:7,} rows, {found['planted']:6,} planted: {found['yes']:6,} yes, "
        f"precision {precision}, recall {found['recall']:.3f} (suspected {found['recall_of_suspicions']:.3f})"
    )


if __name__ == "__main__":
    sys.exit(main())
