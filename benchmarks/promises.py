"""How often promises hold: 200 random resplits of rows that no model was trained on.

    python benchmarks/promises.py --output results/promises.json
    python benchmarks/promises.py clinc150=bundles/clinc150 --output results/promises.json

Each argument is the dataset of a bundle and its directory; without any, the linear model of each dataset is trained
first. A bundle answers its pool once: its test split, its calibration split if it has one, and the messages out of
scope that belong to the dataset. Each resplit draws half of the pool as calibration rows, fits the promise, and counts
on the other half. Validation rows stay those of the bundle.

`held`: the share of resplits in which nothing false is promised, where truth is the whole pool and the calibration rows
are drawn from it with replacement: what a promise with certainty 0.95 says of the traffic that its rows come from.
`made`: the share of these in which anything is promised; where the model cannot keep a promise, that must be rare.
`held_on_other_half`: the share of resplits in which the other half, as a sample of its own, keeps the level too; its
own chance errors count against the promise, which allows for those of the calibration rows only.
`broken_on_other_half`: where `purport verify` would say broken.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from purport import Bundle, Classifier
from purport.data.catalog import catalog
from purport.data.dataset import Split
from purport.data.spec import DataSpec
from purport.errors import TrainingError
from purport.evaluation.bounds import observed
from purport.evaluation.evaluate import answer
from purport.evaluation.judged import Judged
from purport.evaluation.report import machine
from purport.evaluation.rows import evaluation_split
from purport.evaluation.verification import TermCheck
from purport.kinds.recipe import Decide
from purport.model import Answers, BoolArray
from purport.promise import Promised, Term
from purport.training.deciding import fit_decision
from purport.training.pipeline import train
from purport.training.promising import fit_promise
from purport.training.recipe import parse_recipe

RESPLITS = 200
OUT_OF_SCOPE = {
    "clinc150": (("oos_valid",), ("oos_test",)),
    "banking77_oos": (("id_oos_valid",), ("id_oos_test",)),
    "sample": ((), ()),
}
"""The splits of messages out of scope: beside the validation rows, and in the pool."""
LINEAR: dict[str, dict[str, Any]] = {
    "clinc150": {"task": "multiclass", "data": {"valid": "valid"}},
    "banking77_oos": {"task": "multiclass", "data": {"valid": "valid"}},
    # Its test split alone is too small: rows that the model does not see join the pool as calibration rows.
    "sample": {
        "task": "multilabel",
        "data": {"valid": 0.15, "calibration": 0.3, "unlabelled": "out_of_scope"},
        "decide": {"promise": "answered >= 0.01"},
    },
}
PROMISES: tuple[tuple[str, ...], ...] = (
    ("wrong_accepted <= 0.02",),
    ("wrong_accepted <= 0.05",),
    ("wrong_accepted <= 0.1",),
    ("wrong_accepted <= 0.2",),
    ("wrong_accepted <= 0.4",),
    ("wrong_accepted <= 0.6",),
    ("oos_accepted <= 0.1",),
    ("oos_accepted <= 0.3",),
    ("answered >= 0.5",),
    ("answered >= 0.8",),
    ("wrong_accepted <= 0.1", "answered >= 0.6"),
    ("wrong_accepted <= 0.1", "oos_accepted <= 0.3"),
)


@dataclass(frozen=True)
class Rows:
    """Answers to some rows, and their labels ``gold (n, n_labels) bool``."""

    answers: Answers
    gold: BoolArray

    def at(self, rows: np.ndarray) -> Rows:
        given = self.answers
        return Rows(Answers(given.probabilities[rows], given.in_scope[rows], given.truncated[rows]), self.gold[rows])

    @property
    def pair(self) -> tuple[Answers, BoolArray]:
        return self.answers, self.gold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", metavar="DATASET=BUNDLE", help=f"of {', '.join(OUT_OF_SCOPE)}")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--resplits", type=int, default=RESPLITS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started, sets = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as work:
        given = dict(each.split("=", 1) for each in arguments.bundles) or dict.fromkeys(OUT_OF_SCOPE)
        for name, path in given.items():
            bundle = Bundle.open(path) if path else linear(name, Path(work))
            sets += measured(name, bundle, arguments.resplits, arguments.seed)
    report = {
        "machine": machine(),
        "resplits": arguments.resplits,
        "seed": arguments.seed,
        "certainty": Decide().certainty,
        "seconds": round(time.perf_counter() - started),
        "sets": sets,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def linear(name: str, work: Path) -> Bundle:
    """The linear model of ``name``."""
    fields = LINEAR[name]
    data = {"name": source(name), "test": "test", "header": None if name == source(name) else False} | fields["data"]
    bundle = train(parse_recipe({"kind": "linear", **fields, "data": data}), work / name)
    assert bundle is not None, "there are no helper processes"
    return bundle


def source(name: str) -> str:
    """What loads ``name``: a dataset of the catalog by its name, another one from the directory of public data."""
    directory = Path(os.environ.get("PURPORT_DATA_DIR", "."), name)
    return name if name == "sample" or name in catalog() or not directory.is_dir() else str(directory)


def measured(name: str, bundle: Bundle, resplits: int, seed: int) -> list[dict[str, Any]]:
    """Every promise on the pool with and without messages out of scope."""
    classifier = Classifier.open(bundle)
    beside, strange = OUT_OF_SCOPE[name]
    own = ("test", *(["calibration"] if bundle.manifest.promise else []))
    pools = {"in scope": (("valid",), own), "with messages out of scope": (("valid", *beside), (*own, *strange))}
    found = []
    for title, (valid, pool) in pools.items():
        before, rows = (answered(classifier, name, splits) for splits in (valid, pool))
        if title == "in scope":
            before, rows = (each.at(np.flatnonzero(each.gold.any(axis=1))) for each in (before, rows))
        for promise in PROMISES:
            if title == "in scope" and any("oos" in term for term in promise):
                continue
            about = {"dataset": name, "kind": bundle.manifest.kind, "pool": title, "rows": len(rows.gold)}
            found.append(about | resplit(classifier, before, rows, promise, resplits, seed))
            print(json.dumps(found[-1]), flush=True)
    return found


def answered(classifier: Classifier, name: str, splits: tuple[str, ...]) -> Rows:
    """The rows of all ``splits``, answered."""
    examples = []
    for split in splits:
        _, rows = evaluation_split(
            classifier.bundle, split, None if split in ("valid", "test", "calibration") else source(name),
            named=DataSpec(name="", unlabelled="out_of_scope", out_of_scope=("oos",)),
        )  # fmt: skip
        examples += rows
    found = answer(classifier, Split(name, examples.__iter__))
    assert len(found.names) == len(classifier.labels), "every label of these rows is one of the model"
    return Rows(found.answers, found.outcome.gold)


def resplit(
    classifier: Classifier, valid: Rows, pool: Rows, promise: tuple[str, ...], resplits: int, seed: int
) -> dict[str, Any]:
    """Fit ``promise`` on one half and look at the other, many times."""
    chosen = Decide.model_validate({"promise": promise})
    scoped = classifier.bundle.manifest.scope is not None
    decision = fit_decision(chosen, classifier.task, *valid.pair, scoped=scoped)
    whole = Judged.of(*pool.pair, decision)
    rng, n = np.random.default_rng(seed), len(pool.gold)
    counts: Counter[str] = Counter()
    coverage: list[float] = []
    for _ in range(resplits):
        again = fitted(chosen, decision, classifier, valid, pool.at(rng.integers(0, n, n // 2)))
        counts["held"] += isinstance(again, str) or all(kept(term.promise, whole, again)[0] for term in again.terms)
        counts["made"] += not isinstance(again, str)
        order = rng.permutation(n)
        half = fitted(chosen, decision, classifier, valid, pool.at(order[: n // 2]))
        if isinstance(half, str):
            counts[half] += 1
            counts["held on other half"] += 1
            continue
        other = Judged.of(*pool.at(order[n // 2 :]).pair, decision)
        seen = [kept(term.promise, other, half) for term in half.terms]
        counts["held on other half"] += all(holds for holds, _ in seen)
        counts["broken"] += any(check.verdict == "broken" for _, check in seen)
        coverage.append(float(other.above(half.accept_at)[other.inside].mean()))
    refused = {name: counts[name] for name in ("RowsTooFew", "PromiseUnkept", "PromiseConflict") if counts[name]}
    return {
        "promise": list(promise),
        "held": round(counts["held"] / resplits, 4),
        "made": round(counts["made"] / resplits, 4),
        "held_on_other_half": round(counts["held on other half"] / resplits, 4),
        "broken_on_other_half": round(counts["broken"] / resplits, 4),
        "refused": refused,
        "answered": round(float(np.mean(coverage)), 4) if coverage else None,
    }


def fitted(chosen: Decide, decision: Any, classifier: Classifier, valid: Rows, held: Rows) -> Promised | str:
    """What is promised, or the name of the error that says why nothing is."""
    try:
        return fit_promise(chosen, decision, classifier.labels, valid.pair, held.pair)
    except TrainingError as error:
        return type(error).__name__


def kept(term: Term, rows: Judged, promised: Promised) -> tuple[bool, TermCheck]:
    """Whether ``rows`` keep ``term`` at the worst share of messages out of scope, and what `purport verify` says."""
    counted = rows.accepted(np.array([promised.accept_at], dtype=np.float32))
    value = float(observed(term, counted, promised.out_of_scope_share[1])[0])
    given = rows.above(promised.accept_at)
    hit, among = {
        "wrong_accepted": (rows.wrong, given),
        "oos_accepted": (given, ~rows.inside),
        "answered": (given, rows.inside),
    }[term.measure]
    check = TermCheck.of(term, int((hit & among).sum()), int(among.sum()))
    return bool(value <= term.level if term.at_most else value >= term.level), check


if __name__ == "__main__":
    sys.exit(main())
