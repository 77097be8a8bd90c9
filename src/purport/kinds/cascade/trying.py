"""What each stage of a cascade makes of the validation rows, and how long it takes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence

import numpy as np

from ...classifier import Classifier
from ...data.shares import learned_prints, text_prints
from ...errors import RecipeError
from ...labels import LabelSet, Task
from ...model import Metered, Usage
from ...progress import Line, Progress, Reporter
from ...runtime.asking import ask
from ..run import Rows
from .model import Stage, columns
from .target import Tried

_TIMED = 40  # texts
_FEWEST = 50  # validation rows
_SHOWN = 3  # labels


def stage_of(classifier: Classifier, task: Task, labels: LabelSet) -> Stage:
    """``classifier`` as a stage that passes everything on.

    Raises:
        RecipeError: it has another task or other labels, or is made of bundles itself.
    """
    bundle = classifier.bundle
    if bundle.manifest.parts:
        raise RecipeError(f"{bundle.path} is made of other bundles and cannot be a stage; name these as stages instead")
    if classifier.task is not task or set(bundle.labels) != set(labels):
        raise RecipeError(
            f"{bundle.path} ({classifier.task}, {len(bundle.labels)} labels) cannot be a stage: it must have the task "
            f"and the labels of the data ({task}, {len(labels)} labels){_differences(bundle.labels, labels)}"
        )
    return Stage(classifier, columns(classifier, labels.names), 2.0)


def _differences(here: LabelSet, wanted: LabelSet) -> str:
    """The first labels that only one of the two has."""
    said = [
        f"{who} {', '.join(map(json.dumps, sorted(names)[:_SHOWN]))}{' and others' if len(names) > _SHOWN else ''}"
        for who, names in (("only it has", {*here} - {*wanted}), ("it lacks", {*wanted} - {*here}))
        if names
    ]
    return "".join(f"; {each}" for each in said)


def try_stages(stages: Sequence[Stage], valid: Rows, reporter: Reporter) -> Tried:
    """What ``stages`` make of the rows of ``valid`` that none of them has learned from.

    Raises:
        RecipeError: there are too few such rows.
    """
    rows = _fresh(stages, valid, reporter)
    texts, gold = [valid.texts[row] for row in rows], valid.gold[rows]
    score, right, waits, usd = [], [], [], []
    for stage in stages:
        reporter.emit(Progress(f"asking {stage.classifier.bundle.path.name}"))
        before = _usage(stage)
        answers = ask(stage.classifier.answer, texts, reporter)
        waited, price = _waited(before, _usage(stage)), _usage(stage).price - before.price
        decided = stage.classifier.decide(answers).labels[:, stage.columns]
        right.append((decided == gold).all(axis=1))
        score.append(stage.score(answers))
        waits.append(waited)
        usd.append(price / max(1, len(texts)) if _is_priced(stage) else None)
    # Whoever asks a service again may be answered from a cache; its replies know how long they took.
    own = iter(_seconds([stage for stage, waited in zip(stages, waits, strict=True) if not waited], texts[:_TIMED]))
    return Tried(np.stack(score), np.stack(right), [1e3 * (waited or next(own)) for waited in waits], usd)


def _usage(stage: Stage) -> Usage:
    model = stage.classifier.model
    return model.usage if isinstance(model, Metered) else Usage()


def _is_priced(stage: Stage) -> bool:
    """Whether it is known what a text costs: nothing, if no service is asked."""
    budget = getattr(stage.classifier.bundle.manifest.model, "budget", None)
    priced = isinstance(budget, dict) and budget.get("input_price") is not None
    return priced or not stage.classifier.model.traits.remote


def _waited(before: Usage, after: Usage) -> float:
    """The mean seconds that a service took for an answer."""
    answers = after.requests + after.from_cache - before.requests - before.from_cache
    return (after.seconds - before.seconds) / max(1, answers)


def _fresh(stages: Sequence[Stage], valid: Rows, reporter: Reporter) -> list[int]:
    prints = text_prints(valid.texts)
    seen = np.zeros(len(prints), dtype=np.bool_)
    for stage in stages:
        seen |= np.isin(prints, learned_prints(stage.classifier.bundle.path))
    if seen.any():
        said = f"{int(seen.sum())} of {len(seen)} validation rows are left out: a stage has learned from them"
        reporter.emit(Line(said))
    rows: list[int] = np.flatnonzero(~seen).tolist()
    if len(rows) < min(_FEWEST, len(seen)):
        raise RecipeError(
            f"only {len(rows)} validation rows are left that no stage has learned from ({_FEWEST} are needed); train "
            "the stages with the same data.valid and the same seed as this recipe"
        )
    return rows


def _seconds(stages: Sequence[Stage], texts: Sequence[str]) -> list[float]:
    """For each stage the median for one text, asked alone; they take turns, so that a busy moment counts for all."""
    took: list[list[float]] = [[] for _ in stages]
    for text in (texts[0], *texts):
        for seconds, stage in zip(took, stages, strict=True):
            began = time.perf_counter()
            stage.classifier.answer([text])
            seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds[1:]) for seconds in took]
