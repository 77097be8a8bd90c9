"""A linear model that trains in seconds, for judging data: word TF-IDF and logistic regression by SGD.

It is a stand-in for any model of the data. A better model may learn more, so reports say that this one was used.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from joblib import parallel_config
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsRestClassifier

from ..model import BoolArray, FloatArray
from ..progress import SILENT, Progress, Reporter
from ..text import mostly_unspaced, pieces

_EPOCHS = 8
_MOST_FEATURES = 100_000
_SAMPLE = 1_000  # texts that tell whether the script has spaces
LARGE = 50_000  # more rows than this get three folds


def features(texts: Sequence[str]) -> Any:
    """TF-IDF ``(n_texts, n_terms)`` of words and word pairs; in scripts without spaces, of up to three characters."""
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    longest = 3 if mostly_unspaced(map(pieces, sample)) else 2
    options: dict[str, Any] = {"min_df": 2 if len(texts) > 1000 else 1, "max_features": _MOST_FEATURES}
    vectorizer = TfidfVectorizer(
        analyzer=partial(_terms, longest=longest), sublinear_tf=True, dtype=np.float32, **options
    )
    try:
        return vectorizer.fit_transform(texts)
    except ValueError:  # min_df removed every term
        return TfidfVectorizer(analyzer="char", dtype=np.float32).fit_transform(texts)


def _terms(text: str, longest: int) -> list[str]:
    split = pieces(text)
    return [" ".join(split[at : at + size]) for size in range(1, longest + 1) for at in range(len(split) - size + 1)]


def fit_predict(train: Any, gold: BoolArray, other: Any, *, exclusive: bool, seed: int) -> FloatArray:
    """Probabilities ``(n_other, n_labels) float32`` after training on ``gold (n_train, n_labels)``.

    ``exclusive``: each row's probabilities sum to 1, or to less by the probability that it has no label, which is
    learnt where some training rows have none.
    """
    n_labels, none = gold.shape[1], ~gold.any(axis=1)
    if exclusive and none.any():
        gold = np.column_stack([gold, none])
    proba = np.zeros((other.shape[0], gold.shape[1]), dtype=np.float32)
    counts = gold.sum(axis=0)
    proba[:, counts == len(gold)] = 1.0
    learnable = (counts > 0) & (counts < len(gold))
    if learnable.any():
        machine = SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=_EPOCHS, tol=None, random_state=seed)
        one_vs_rest = OneVsRestClassifier(machine, n_jobs=-1)
        columns = np.flatnonzero(learnable)
        # Threads, because SGD releases the GIL and the matrix is not copied.
        with warnings.catch_warnings(), parallel_config(backend="threading"):
            warnings.simplefilter("ignore")
            # int64, because scikit-learn counts columns in the matrix's own type and int8 overflows at 128 labels.
            target = csr_matrix(gold[:, columns], dtype=np.int64) if len(columns) > 1 else gold[:, columns[0]]
            found = one_vs_rest.fit(train, target).predict_proba(other)
        proba[:, columns] = found if len(columns) > 1 else found[:, -1:]
    if exclusive:
        proba /= np.maximum(proba.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return proba[:, :n_labels]


@dataclass(frozen=True)
class CrossValidated:
    """Out-of-fold probabilities ``(n, n_labels)`` of rows that were trained on in the other folds."""

    probabilities: FloatArray
    exclusive: bool

    def exact(self, gold: BoolArray) -> BoolArray:
        """Which rows are decided exactly as in ``gold``: ``(n,) bool``."""
        return np.asarray((decide(self.probabilities, exclusive=self.exclusive) == gold).all(axis=1))


def decide(probabilities: FloatArray, *, exclusive: bool) -> BoolArray:
    """The decided labels ``(n, n_labels) bool``: every label with probability 0.5 or more.

    ``exclusive``: the most likely label, unless it is more likely that the row has none.
    """
    if not exclusive or not probabilities.size:
        return probabilities >= 0.5
    best = np.eye(probabilities.shape[1], dtype=np.bool_)[probabilities.argmax(axis=1)]
    return np.asarray(best & (probabilities > 1 - probabilities.sum(axis=1, keepdims=True)))


def folds(keys: Sequence[str], gold: Sequence[tuple[str, ...]], count: int, seed: int) -> NDArray[np.intp]:
    """The fold of each row. Rows with equal ``keys`` share a fold; label combinations are spread evenly.

    scikit-learn's StratifiedGroupKFold fails if no label combination has ``count`` rows.
    """
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        first.setdefault(key, position)
    positions = np.random.default_rng(seed).permutation(np.array(list(first.values()), dtype=np.intp))
    codes: dict[tuple[str, ...], int] = {}
    combination = np.array([codes.setdefault(gold[position], len(codes)) for position in positions])
    ranked = positions[np.argsort(combination, kind="stable")]
    fold_of = {keys[position]: rank % count for rank, position in enumerate(ranked)}
    return np.array([fold_of[key] for key in keys], dtype=np.intp)


def cross_validate(
    matrix: Any,
    gold: BoolArray,
    fold_of: NDArray[np.intp],
    *,
    exclusive: bool,
    seed: int,
    reporter: Reporter = SILENT,
    train_gold: BoolArray | None = None,
    train_mask: BoolArray | None = None,
    only: NDArray[np.intp] | None = None,
) -> CrossValidated:
    """Predict each fold (or those in ``only``) from the other folds; rows of skipped folds keep probability 0.

    ``train_gold`` replaces ``gold`` as the labels to learn from; ``train_mask`` selects the rows to learn from.
    """
    learnt = gold if train_gold is None else train_gold
    usable = np.ones(len(gold), dtype=np.bool_) if train_mask is None else train_mask
    proba = np.zeros(gold.shape, dtype=np.float32)
    count = int(fold_of.max()) + 1 if len(fold_of) else 0
    for fold in range(count) if only is None else only.tolist():
        inside, outside = fold_of == fold, (fold_of != fold) & usable
        reporter.emit(Progress("cross-validating the linear model", fold + 1, count, "folds"))
        if outside.any():
            proba[inside] = fit_predict(
                matrix[outside], learnt[outside], matrix[inside], exclusive=exclusive, seed=seed
            )
    return CrossValidated(proba, exclusive)


def fold_count(rows: int) -> int:
    """Five folds, or three for large data."""
    return 3 if rows > LARGE else min(5, rows)
