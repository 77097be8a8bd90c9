"""The contents of a report on one bundle and one split."""

from __future__ import annotations

import platform
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..data.dataset import Dataset, Split
from ..frozen import Frozen
from ..kinds.cascade.model import OPENER as CASCADE
from ..kinds.cascade.model import CascadeFacts
from ..labels import LabelSet, Task
from ..model import BoolArray
from ..progress import SILENT, Reporter
from ..resources import cpus
from ..text import normal_form, words
from ..wording import count
from . import curves
from .evaluate import Answered, Evaluation, answer, measure
from .held_back import Acceptance, acceptance_of
from .robustness import Robustness
from .sentences import warnings_of

_WORST = 50
_MOST_CURVES = 8
_TIMED = 200
_RARE = 20  # a label with fewer training rows is rare


class Slice(Frozen):
    """Exact match on a subset of the rows, with a Wilson interval."""

    name: str
    n: int
    exact_match: float
    low: float
    high: float


class WorstError(Frozen):
    """A wrong answer with high confidence; ``top`` has the model's three most likely labels."""

    row: int
    text: str
    gold: tuple[str, ...]
    decided: tuple[str, ...]
    confidence: float
    top: tuple[tuple[str, float], ...]


class Cost(Frozen):
    """Size and speed of the bundle on this machine: milliseconds per text, and texts per second in batches."""

    bytes: int
    kind: str
    median_ms: float
    p95_ms: float
    texts_per_second: float
    machine: str


class TwoByTwo(Frozen):
    """A label against the rest."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


class LabelCurves(Frozen):
    """ROC (false, true positive rate) and precision-recall (recall, precision) curves of one label or all labels."""

    name: str
    roc: curves.Curve
    precision_recall: curves.Curve


class Report(Frozen):
    """An evaluation, and the details that explain it.

    ``confusion`` (multiclass) has a row and a column for each of ``confusion_labels``, then one for no label.
    ``robustness`` is measured apart (:func:`~.robustness.measure_robustness`), because it asks the model several times.
    """

    evaluation: Evaluation
    warnings: tuple[str, ...]
    exact_match: float
    temperature: float
    two_by_two: dict[str, TwoByTwo]
    confusion_labels: list[str]
    confusion: list[list[int]]
    set_confusions: list[tuple[str, str, int]]
    confidence_right: list[int]
    confidence_wrong: list[int]
    reliability_before: list[tuple[float, float, int]]
    reliability_after: list[tuple[float, float, int]]
    reliability_decided: list[tuple[float, float, int]]
    accuracy_coverage: curves.Curve
    acceptance: Acceptance
    coverage_at_99: float
    confidence_at_99: float | None
    thresholds: list[tuple[float, float, float, float]]
    curves: list[LabelCurves]
    slices: list[Slice]
    errors: int
    worst_errors: list[WorstError]
    cost: Cost
    robustness: Robustness | None = None
    cascade: CascadeFacts | None = None

    def without_texts(self) -> Report:
        """A copy without any utterance."""
        bare = [error.model_copy(update={"text": ""}) for error in self.worst_errors]
        return self.model_copy(update={"worst_errors": bare})


def report_on(
    classifier: Classifier,
    split: Split,
    *,
    dataset: str = "",
    own: Dataset | None = None,
    resamples: int = 1000,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Report:
    """Evaluate ``classifier`` on ``split`` and show where it fails; ``own`` is the data it was trained on."""
    answered, manifest = answer(classifier, split, reporter), classifier.bundle.manifest
    evaluation = measure(answered, split, bundle=manifest.id, dataset=dataset, resamples=resamples, seed=seed)
    outcome, names = answered.outcome, answered.names
    correct, confidence = curves.right(outcome), curves.row_confidence(outcome)
    before = curves.uncalibrated(outcome.probabilities, outcome.task, manifest.calibration)
    gold = [frozenset(example.labels) for example in answered.examples]
    edges = np.linspace(0, 1, 21)
    covered, needed = curves.coverage_at(confidence, correct, 0.99)
    multiclass = outcome.task is Task.MULTICLASS
    return Report(
        evaluation=evaluation,
        warnings=tuple(warnings_of(manifest)),
        exact_match=float(correct.mean()),
        temperature=manifest.calibration.temperature,
        two_by_two=_two_by_two(answered),
        confusion_labels=list(names) if multiclass else [],
        confusion=curves.confusion(outcome).tolist() if multiclass else [],
        set_confusions=[(*pair, n) for pair, n in curves.set_confusions(gold, answered.decided).most_common(60)],
        confidence_right=np.histogram(confidence[correct], bins=edges)[0].tolist(),
        confidence_wrong=np.histogram(confidence[~correct], bins=edges)[0].tolist(),
        reliability_before=curves.reliability(outcome, before),
        reliability_after=curves.reliability(outcome, outcome.probabilities),
        reliability_decided=curves.reliability_decided(outcome),
        accuracy_coverage=curves.accuracy_coverage(confidence, correct),
        acceptance=acceptance_of(answered, manifest),
        coverage_at_99=covered,
        confidence_at_99=needed,
        thresholds=curves.threshold_curve(outcome),
        curves=_curves(answered),
        slices=_slices(answered, correct, split, own),
        errors=int((~correct).sum()),
        worst_errors=_worst(answered, correct, confidence),
        cascade=manifest.model.as_type(CascadeFacts) if manifest.opener == CASCADE else None,
        cost=cost_of(classifier, [example.text for example in answered.examples]),
    )


def _two_by_two(answered: Answered) -> dict[str, TwoByTwo]:
    gold, decided = answered.outcome.gold, answered.outcome.decided
    cells = (gold & decided, ~gold & decided, gold & ~decided, ~gold & ~decided)
    counts = zip(answered.names, *(cell.sum(axis=0).tolist() for cell in cells), strict=True)
    return {
        name: TwoByTwo(true_positive=hit, false_positive=false, false_negative=missed, true_negative=rest)
        for name, hit, false, missed, rest in counts
    }


def _curves(answered: Answered) -> list[LabelCurves]:
    outcome = answered.outcome
    order = np.argsort(-outcome.gold.sum(axis=0), kind="stable")
    chosen = [column for column in order if outcome.gold[:, column].any()][:_MOST_CURVES]
    parts = [("all labels", outcome.probabilities.ravel(), outcome.gold.ravel())]
    parts += [(answered.names[c], outcome.probabilities[:, c], outcome.gold[:, c]) for c in chosen]
    return [
        LabelCurves(
            name=name,
            roc=curves.roc_curve(scores, truth),
            precision_recall=curves.precision_recall_curve(scores, truth),
        )
        for name, scores, truth in parts
    ]


def _slices(answered: Answered, correct: BoolArray, split: Split, own: Dataset | None) -> list[Slice]:
    examples = answered.examples
    lengths = np.array([len(words(example.text)) for example in examples])
    sizes = answered.outcome.gold.sum(axis=1)
    masks: dict[str, NDArray[np.bool_]] = {
        **_by_length(lengths),
        "no label": sizes == 0,
        "one label": sizes == 1,
        "several labels": sizes > 1,
        "truncated by the model": answered.truncated,
    }
    if own is not None and "train" in own.splits and split.fingerprint != own["train"].fingerprint:
        counts = own["train"].label_counts
        rare = [any(counts[label] < _RARE for label in example.labels) for example in examples]
        masks[f"a label with fewer than {_RARE} training rows"] = np.array(rare)
        known = {normal_form(text) for text in own["train"].texts}
        seen = np.array([normal_form(example.text) in known for example in examples])
        masks["text also in train (leaked)"] = seen
        masks["text not in train"] = ~seen
        combinations = set(own["train"].gold)
        masks["label combination not in train"] = np.array([e.labels not in combinations for e in examples])
    masks["all rows"] = np.ones(len(examples), dtype=np.bool_)
    found = []
    for name, mask in masks.items():
        n, hits = int(mask.sum()), int(correct[mask].sum())
        if n:
            below, above = curves.wilson(hits, n)
            found.append(Slice(name=name, n=n, exact_match=hits / n, low=below, high=above))
    return found


def _by_length(lengths: NDArray[np.int_]) -> dict[str, BoolArray]:
    """Short, middling and long texts, about a third of the rows each; ``lengths`` are numbers of words."""
    low, high = np.quantile(lengths, [1 / 3, 2 / 3]).astype(int).tolist()
    middle = f"{low + 1} to {high} words" if high > low + 1 else count(high, "word")
    return {
        f"up to {count(low, 'word')}": lengths <= low,
        middle: (lengths > low) & (lengths <= high),
        f"more than {count(high, 'word')}": lengths > high,
    }


def _worst(answered: Answered, correct: BoolArray, confidence: NDArray[np.float64]) -> list[WorstError]:
    wrong = np.flatnonzero(~correct)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:_WORST]
    decided = LabelSet(answered.names).decode(answered.outcome.decided[worst])
    found = []
    for row, labels in zip(worst.tolist(), decided, strict=True):
        example, proba = answered.examples[row], answered.outcome.probabilities[row]
        top = np.argsort(-proba, kind="stable")[:3]
        found.append(
            WorstError(
                row=example.row or row + 1,
                text=example.text,
                gold=example.labels,
                decided=tuple(sorted(labels)),
                confidence=round(float(confidence[row]), 4),
                top=tuple((answered.names[column], round(float(proba[column]), 4)) for column in top),
            )
        )
    return found


def cost_of(classifier: Classifier, texts: Sequence[str]) -> Cost:
    """Size of the bundle, and its speed on up to 200 of ``texts``, one at a time and all at once."""
    [single] = milliseconds([classifier], texts)
    chosen = _sampled(texts)
    began = time.perf_counter()
    classifier.answer(chosen)
    together = time.perf_counter() - began
    return Cost(
        bytes=classifier.bundle.size,
        kind=classifier.bundle.manifest.kind,
        median_ms=round(statistics.median(single), 3),
        p95_ms=round(float(np.quantile(single, 0.95)), 3),
        texts_per_second=round(len(chosen) / together, 1),
        machine=machine(),
    )


def milliseconds(classifiers: Sequence[Classifier], texts: Sequence[str]) -> list[list[float]]:
    """Milliseconds that each classifier takes for each of up to 200 of ``texts``, one at a time.

    The classifiers take turns, so that all see the same noise. A warm-up before the timing does not count.
    """
    times: list[list[float]] = [[] for _ in classifiers]
    chosen = _sampled(texts)
    for classifier in classifiers:
        classifier.answer(chosen[:8])
    for text in chosen:
        for classifier, kept in zip(classifiers, times, strict=True):
            began = time.perf_counter()
            classifier.answer([text])
            kept.append((time.perf_counter() - began) * 1e3)
    return times


def _sampled(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(1, len(texts) // _TIMED)][:_TIMED]


def machine() -> str:
    """Processor, cores and operating system in one line."""
    info = Path("/proc/cpuinfo")
    facts = dict(re.findall(r"^(model name|flags)\s*: (.*)$", info.read_text("utf-8") if info.exists() else "", re.M))
    extra = [flag for flag in ("avx512_vnni", "avx512_bf16", "amx_int8") if flag in facts.get("flags", "")]
    model = facts.get("model name", platform.machine())
    return f"{model}, {cpus()} cores, {', '.join(extra) or 'no VNNI'}, {platform.system()}"
