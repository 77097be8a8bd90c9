"""Estimates how good a recipe is on small data: each row is answered by a model that was not trained on it."""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path

import numpy as np

from ..classifier import Classifier
from ..data.dataset import Dataset, Split
from ..data.shares import groups
from ..errors import DataError
from ..evaluation import quick
from ..evaluation.evaluate import Answered, Evaluation, answer, measure
from ..evaluation.outcome import Outcome
from ..kinds.recipe import Recipe
from ..progress import SILENT, Line, Reporter
from ..runtime.asking import joined
from . import steps
from .pipeline import train

NAME = "cross-validation"


def cross_validate(recipe: Recipe, folds: int, *, reporter: Reporter = SILENT) -> Evaluation:
    """Train ``folds`` models, each on all folds but one, and evaluate the answers to the folds that were left out.

    Near-duplicates are in the same fold, and label combinations are spread evenly. The rows are those of the train
    split and of the shares that the recipe takes from it. In each fold, a share of the training rows is set aside for
    calibration and decision, as in any run; the recipe's promises are left out, because parts have too few rows for
    them. Intervals treat all rows as answered by one model (a slight optimism, see Bengio & Grandvalet 2004).

    Raises:
        DataError: there are fewer groups of rows than ``folds``.
    """
    recipe = recipe.without_promise()
    dataset = steps.load(recipe, reporter)
    shared = recipe.data.shares
    examples = list(chain.from_iterable(dataset[name] for name in ("train", *shared)))
    group = [str(each) for each in groups([example.text for example in examples])]
    if len(set(group)) < folds:
        raise DataError(f"{len(set(group))} different texts are too few for {folds} folds; add rows or use fewer folds")
    fold_of = quick.folds(group, [example.labels for example in examples], folds, recipe.seed)
    answered = []
    for fold in range(folds):
        reporter.emit(Line(f"cross-validation: fold {fold + 1} of {folds}"))
        inside, outside = (
            [examples[row] for row in np.flatnonzero(mask)] for mask in (fold_of == fold, fold_of != fold)
        )
        parts = {"train": Split("train", outside.__iter__)}
        if "valid" not in shared:
            parts["valid"] = dataset["valid"]
        data = Dataset(dataset.name, parts, recipe.task, dataset.labels)
        if "valid" in shared:
            data = data.with_share("valid", shared["valid"], seed=recipe.seed)
        with tempfile.TemporaryDirectory(prefix="purport-fold-") as work:
            bundle = train(recipe, Path(work, "bundle"), dataset=data, reporter=reporter)
            assert bundle is not None, "there are no helper processes"
            answered.append(answer(Classifier.open(bundle), Split(NAME, inside.__iter__), reporter))
    pooled = _pooled(answered)
    split = Split(NAME, list(pooled.examples).__iter__)
    return measure(pooled, split, dataset=dataset.name, seed=recipe.seed)


def _pooled(parts: list[Answered]) -> Answered:
    """The answers of all folds; their models have the same labels."""
    outcomes = [part.outcome for part in parts]
    outcome = Outcome(
        np.concatenate([each.gold for each in outcomes]),
        np.concatenate([each.decided for each in outcomes]),
        np.concatenate([each.probabilities for each in outcomes]),
        outcomes[0].task,
    )
    examples = list(chain.from_iterable(part.examples for part in parts))
    answers = joined([part.answers for part in parts])
    return Answered(examples, outcome, parts[0].names, parts[0].labels, answers)
