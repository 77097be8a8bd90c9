"""Trains linear support vector machines on word and character TF-IDF."""

from __future__ import annotations

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from ...errors import RecipeError
from ...model import FloatArray
from ...progress import Progress
from ..checks import Independence
from ..run import Fitted, Rows, Run
from .model import LinearFacts, LinearScorer
from .recipe import LinearRecipe

_REMEDY = "this is a bug in purport, please report it with the recipe"
# Its vector says little that its logits do not say (docs/decisions/0025).
_WEIGHTS = (0.9, 0.2, 0.3, 0.2)
_LEAST = 1e-6


def fit(run: Run[LinearRecipe]) -> Fitted:
    """One squared-hinge SVM per label; its margins are the logits that calibration turns into probabilities."""
    recipe, ngrams = run.recipe.model, run.recipe.model.ngrams()
    vectorizer = TfidfVectorizer(
        analyzer=ngrams,
        sublinear_tf=True,
        min_df=min(recipe.min_count, len(run.train)),
        max_features=recipe.max_features,
        dtype=np.float32,
    )
    try:
        features = vectorizer.fit_transform(run.train.texts)
    except ValueError:  # the library's: no term is left
        raise RecipeError(
            f"no n-gram is in {vectorizer.min_df} of the {len(run.train):,} training texts (model.min_count); "
            "set model.min_count to 1, or add rows that have words in common"
        ) from None
    run.say(f"training on {features.shape[1]:,} n-grams from {len(run.train):,} texts")
    weights = np.zeros((features.shape[1], len(run.labels)), dtype=np.float32)
    bias = np.zeros(len(run.labels), dtype=np.float32)
    for column in range(len(run.labels)):
        weights[:, column], bias[column] = _margin(features, run.train, column, run.recipe)
        run.reporter.emit(Progress("training", column + 1, len(run.labels), "labels"))
    scorer = LinearScorer(ngrams, vectorizer.vocabulary_, vectorizer.idf_.astype(np.float32), weights, bias)
    scorer.save(run.stage)
    facts = LinearFacts(limit=ngrams.max_characters, ngrams=ngrams, features=features.shape[1])
    return Fitted(scorer, facts, checks=(Independence(_REMEDY),), weights=_WEIGHTS)


def _margin(features: object, rows: Rows, column: int, recipe: LinearRecipe) -> tuple[FloatArray, float]:
    """Weights and bias of one label; the logit is constant for a label that every row has or no row has."""
    gold = rows.gold[:, column]
    # The solver refuses a class in which all rows weigh nothing.
    counts = None if rows.weights is None else np.maximum(rows.weights, _LEAST)
    if gold.all() or not gold.any():
        return np.zeros(features.shape[1], dtype=np.float32), 1.0 if gold.all() else -1.0  # type: ignore[attr-defined]
    weight = "balanced" if recipe.model.class_weight == "balanced" else None
    # A multiclass model is also one-against-rest; its margins compete in a softmax.
    machine = LinearSVC(C=recipe.model.c, class_weight=weight, random_state=recipe.seed)
    machine.fit(features, gold, sample_weight=counts)
    return machine.coef_[0].astype(np.float32), float(machine.intercept_[0])
