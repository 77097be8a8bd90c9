"""What teaching one example does: is the text right afterwards, how many other answers change, and how long it takes.

    python benchmarks/teaching.py clinc150=bundles/clinc150 atis=bundles/atis --output results/teaching.json
    python benchmarks/teaching.py banking77=bundles/banking77 --choose

Up to 50 rows of the test split that a bundle answers wrongly are drawn with a seed, and each is taught alone, with its
gold labels, as `purport teach` does it: with the validation rows as witnesses, and refused where one of these would
become wrong. Then every other test row is decided again. `variants` are the taught text with one and three typing
errors, in capitals, with a greeting and with thanks: close paraphrases, of which none was taught. `seconds` is the wall
time of one `purport teach` as a command, with everything that it starts, loads, checks and writes.

`--choose` does the same on validation rows alone (a third as witnesses, the others as test rows), with several shares
and least cosines of an example's reach: that is how those in `runtime/taught_vectors.py` were chosen.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from purport import Bundle, Example
from purport.evaluation.report import machine
from purport.evaluation.robustness import PERTURBATIONS
from purport.evaluation.rows import evaluation_split
from purport.model import BoolArray
from purport.runtime import taught_vectors
from purport.runtime.asking import ask, rows_of
from purport.runtime.calibration import Scores
from purport.runtime.decision import decide
from purport.teaching.flips import Witnesses
from purport.teaching.lesson import lesson
from purport.teaching.teach import Pupil, redecided

VARIANTS = ("typo_1", "typo_3", "upper_case", "greeting", "politeness")
SHARES, LEASTS = (0.25, 0.5, 0.75), (0.6, 0.7, 0.75, 0.8, 0.85, 0.9)


class Trial:
    """Rows that are decided before and after each lesson; each lesson is taught alone."""

    def __init__(self, pupil: Pupil, examples: Sequence[Example], scores: Scores, most: int, seed: int) -> None:
        self.pupil, self.examples, self.scores = pupil, examples, scores
        self.base = pupil.model.of(scores)
        self.before = decide(self.base.probabilities, pupil.bundle.manifest.decision, self.base.in_scope).labels
        self.right = self.gold_like(self.before)
        names = set(pupil.bundle.labels)
        wrong = [row for row in np.flatnonzero(~self.right).tolist() if names.issuperset(examples[row].labels)]
        self.wrong = len(wrong)
        self.chosen = sorted(np.random.default_rng(seed).permutation(wrong)[:most].tolist())

    def gold_like(self, decided: BoolArray) -> BoolArray:
        """Whether each row is decided as its gold labels say."""
        labels = self.pupil.bundle.labels.decode(decided)
        return np.array([set(a) == set(b.labels) for a, b in zip(labels, self.examples, strict=True)])

    def run(self) -> dict[str, Any]:
        """Teach each chosen row."""
        found = [self._teach(row) for row in self.chosen]
        n, others = len(found), len(self.examples) - 1
        total = {name: sum(each[name] for each in found) for name in ("changed", "broken", "fixed")}
        answered = [each for each in found if each["taught"]]
        return {
            "rows": len(self.examples),
            "wrong": self.wrong,
            "taught": n,
            "refused": n - len(answered),
            "right_afterwards": round(sum(each["right"] for each in found) / n, 4),
            **{f"others_{name}_per_example": round(value / n, 4) for name, value in total.items()},
            "one_change_in": round(others * n / total["changed"]) if total["changed"] else None,
            "variants_right": {
                name: round(float(np.mean([each["variants"][name] for each in answered])), 4) for name in VARIANTS
            } if answered else {},
        }  # fmt: skip

    def _teach(self, row: int) -> dict[str, Any]:
        pupil, example = self.pupil, self.examples[row]
        given = lesson([example], pupil.bundle.labels, pupil.bundle.manifest.task)
        taught, decision = pupil.after(given), pupil.decision(given)
        if any(flip.broken for flip in pupil.flips(given, taught, decision)):
            return {"taught": False, "right": False, "changed": 0, "broken": 0, "fixed": 0}
        model = pupil.model.instructed(taught)
        after = redecided(self.base, self.scores, model, taught, decision)
        right, changed = self.gold_like(after), (after != self.before).any(axis=1)
        own = np.arange(len(right)) == row
        texts = [PERTURBATIONS[name].of(example.text) for name in VARIANTS]
        asked = model.answer(texts)
        decided = decide(asked.probabilities, decision, asked.in_scope).labels
        return {
            "taught": True,
            "right": bool(right[row]),
            "changed": int((changed & ~own).sum()),
            "broken": int((changed & ~own & self.right).sum()),
            "fixed": int((changed & ~own & right).sum()),
            "variants": dict(zip(VARIANTS, (decided == given.matrix).all(axis=1).tolist(), strict=True)),
        }


def on_test(path: str, split: str, most: int, seed: int) -> dict[str, Any]:
    """What teaching does to the rows of ``split``."""
    bundle = Bundle.open(path)
    _, found = evaluation_split(bundle, split)
    examples, pupil = list(found), Pupil.of(bundle)
    texts = [example.text for example in examples]
    scores = ask(pupil.model.score, texts)
    trial = Trial(pupil, examples, scores, most, seed)
    measured = trial.run()
    first = examples[trial.chosen[0]]
    return {"bundle": bundle.manifest.id, "labels": len(bundle.labels), **measured, "seconds": seconds(path, first)}


def seconds(path: str, example: Example) -> float:
    """The wall time of one ``purport teach``, the least of three."""
    labels = [word for label in example.labels for word in ("--label", label)] or ["--out-of-scope"]
    best = float("inf")
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            mine = shutil.copytree(path, Path(folder, "bundle"))
            words = ["teach", str(mine), "--text", example.text, *labels, "--allow-flips", "1000000", "--force"]
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "purport", *words], check=True, capture_output=True)
            best = min(best, time.perf_counter() - started)
    return round(best, 2)


def choose(path: str, most: int, seed: int) -> dict[str, Any]:
    """The same on validation rows, for each share and least cosine."""
    pupil = Pupil.of(Bundle.open(path))
    all_rows = pupil.witnesses
    order = np.random.default_rng(seed).permutation(len(all_rows.examples))
    cut = len(order) // 3
    kept, asked = (np.sort(rows) for rows in (order[:cut], order[cut:]))
    pick = lambda rows: [all_rows.examples[row] for row in rows]  # noqa: E731
    pupil = replace(pupil, witnesses=Witnesses(pick(kept), rows_of(all_rows.scores, kept)))
    trial, found = Trial(pupil, pick(asked), rows_of(all_rows.scores, asked), most, seed), {}
    for share, least in product(SHARES, LEASTS):
        taught_vectors._REACH = (share, least)
        found[f"share {share}, least {least}"] = trial.run()
    return found


def main() -> None:
    """Measure each bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", metavar="NAME=DIRECTORY")
    parser.add_argument("--split", default="test")
    parser.add_argument("--most", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    found = {}
    for name, _, path in (each.partition("=") for each in asked.bundles):
        found[name] = (
            choose(path, asked.most, asked.seed) if asked.choose else on_test(path, asked.split, asked.most, asked.seed)
        )
        print(name, json.dumps(found[name], indent=1))
    if asked.output:
        document = {"machine": machine(), "seed": asked.seed, "split": asked.split, "bundles": found}
        asked.output.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
