"""What the checks look at. Expensive results are computed lazily and cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..bundle import DEFAULT_BUNDLE
from ..classifier import Classifier
from ..data.duplicates import near_duplicates
from ..data.spec import data_spec
from ..data.table import Positions, RowTable
from ..evaluation import quick
from ..model import Answers, BoolArray, FloatArray, Lengths
from ..progress import Progress, Reporter
from .finding import Action, Finding, Fix, RowRef, Severity, Worth

_MOST_ROWS = 200  # listed per finding
_LIMIT = 256  # tokens: the most that a recipe of `purport init` gives a model to read


@dataclass(frozen=True)
class Examination:
    """A dataset, and optionally a bundle to judge it with."""

    table: RowTable
    classifier: Classifier | None
    seed: int
    reporter: Reporter
    as_written: RowTable | None = None
    """``table`` with the labels as they stand in the data, where it has one name for several spellings."""

    def say(self, what: str) -> None:
        """Report what is being computed."""
        self.reporter.emit(Progress(what))

    @cached_property
    def training(self) -> Positions:
        """Training rows. A row that occurs in several training splits counts once."""
        first_in: dict[tuple[str, tuple[str, ...]], str] = {}
        kept = []
        for row in np.flatnonzero(self.table.is_training).tolist():
            split = self.table.split(row)
            if first_in.setdefault((self.table.texts[row], self.table.gold[row]), split) == split:
                kept.append(row)
        return np.array(kept, dtype=np.intp)

    @cached_property
    def evaluation(self) -> Positions:
        """Rows of the evaluation splits."""
        return np.flatnonzero(~self.table.is_training)

    @cached_property
    def near(self) -> list[list[int]]:
        """Clusters of near-duplicates across all splits."""
        self.say("comparing texts")
        return near_duplicates(self.table.words)

    @cached_property
    def features(self) -> Any:
        """TF-IDF of every row."""
        return quick.features(self.table.texts)

    @cached_property
    def folds(self) -> Positions:
        """The fold of each training row; equal texts share one."""
        keys = [self.table.forms[position] for position in self.training]
        gold = [self.table.gold[position] for position in self.training]
        return quick.folds(keys, gold, quick.fold_count(len(self.training)), self.seed)

    def gain(self, learnt: BoolArray, kept: BoolArray, judged: BoolArray, how: str) -> Worth:
        """Change of cross-validated exact match on the ``judged`` training rows, with a 95 % interval.

        ``learnt`` replaces the labels to learn from, ``kept`` marks the rows to learn from. Large datasets use one
        fold only. The interval is that of a mean of paired differences, by the normal approximation.
        """
        tried = np.unique(self.folds)[: 1 if len(self.training) > quick.LARGE else None]
        judged = judged & np.isin(self.folds, tried)
        if not judged.any():
            return Worth(kind="gain", value=None, how="the fix leaves no other row to measure on")
        after = self._cross_validate(learnt, kept, tried).exact(self.gold(self.training))
        changed = after[judged].astype(np.float64) - self.right[self.training][judged]
        value, error = float(changed.mean()), 1.96 * float(changed.std()) / len(changed) ** 0.5
        return Worth(kind="gain", value=value, how=how, interval=(value - error, value + error))

    def _cross_validate(
        self, learnt: BoolArray | None = None, kept: BoolArray | None = None, only: Positions | None = None
    ) -> quick.CrossValidated:
        """Out-of-fold probabilities of the training rows, in the order of ``training``."""
        return quick.cross_validate(
            self.features[self.training],
            self.gold(self.training),
            self.folds,
            exclusive=self.table.exclusive,
            seed=self.seed,
            reporter=self.reporter,
            train_gold=learnt,
            train_mask=kept,
            only=only,
        )

    def gold(self, positions: Positions) -> BoolArray:
        """Gold labels of rows ``(n, n_labels) bool``."""
        return self.table.matrix[positions]

    @cached_property
    def probabilities(self) -> FloatArray:
        """Probabilities of every row from a model that was not trained on it: ``(n, n_labels) float32``.

        Training rows are cross-validated. Evaluation rows are answered by the bundle, if there is one.
        """
        proba = np.zeros(self.table.matrix.shape, dtype=np.float32)
        proba[self.training] = self._cross_validate().probabilities
        if not len(self.evaluation):
            return proba
        if self.classifier is not None:
            spec, answered = data_spec(self.classifier.bundle), self._answered.probabilities
            for column, label in enumerate(self.classifier.labels):
                for part in [label] if label in self.table.labels else spec.parts(frozenset([label])):
                    if part in self.table.labels:
                        proba[self.evaluation, self.table.labels.index(part)] += answered[:, column]
            return proba
        self.say("classifying with the linear model")
        proba[self.evaluation] = quick.fit_predict(
            self.features[self.training],
            self.gold(self.training),
            self.features[self.evaluation],
            exclusive=self.table.exclusive,
            seed=self.seed,
        )
        return proba

    @cached_property
    def _answered(self) -> Answers:
        """The bundle's answers to the evaluation rows."""
        assert self.classifier is not None
        self.say("classifying with the bundle")
        return self.classifier.answer([self.table.texts[position] for position in self.evaluation])

    @cached_property
    def decided(self) -> BoolArray:
        """The labels that a model that was not trained on the row decides: ``(n, n_labels) bool``."""
        decided = quick.decide(self.probabilities, exclusive=self.table.exclusive)
        if self.classifier is not None and len(self.evaluation):
            decided[self.evaluation[self.classifier.decide(self._answered).out_of_scope]] = False
        return decided

    @cached_property
    def right(self) -> BoolArray:
        """Which rows get exactly the right labels from a model that was not trained on them: ``(n,) bool``."""
        return np.asarray((self.decided == self.table.matrix).all(axis=1))

    @cached_property
    def token_lengths(self) -> Lengths:
        """The length of each text, and the limit of the bundle or, without one, the largest that ``train`` chooses."""
        if self.classifier is not None:
            return self.classifier.lengths(self.table.texts)
        return replace(Classifier.open(DEFAULT_BUNDLE).lengths(self.table.texts), limit=_LIMIT)

    def excess_error(self, positions: Iterable[int]) -> Worth:
        """How much exact match is lost because these rows do worse than the other training or evaluation rows."""
        chosen = np.array(list(positions))
        pool = self.training if np.isin(chosen, self.training).any() else self.evaluation
        if not len(self.training):
            return Worth(kind="bound", value=None, how="there are no training rows to learn from")
        inside, others = np.intersect1d(pool, chosen), np.setdiff1d(pool, chosen)
        if not len(others):
            return Worth(kind="bound", value=None, how="there are no other rows to compare with")
        here, elsewhere = float(self.right[inside].mean()), float(self.right[others].mean())
        how = f"exact match is {here:.1%} on these rows and {elsewhere:.1%} on the others"
        return Worth(kind="bound", value=max(0.0, elsewhere - here) * (len(inside) / len(pool)), how=how)

    def _rows(self, positions: Iterable[int], notes: Sequence[str] | None = None) -> tuple[RowRef, ...]:
        """References to the first of ``positions``, each with its note."""
        found = []
        for at, position in enumerate(list(positions)[:_MOST_ROWS]):
            split, note = self.table.split(position), notes[at] if notes else ""
            example = (self.as_written or self.table).examples[position]
            found.append(RowRef(split=split, row=example.row, text=example.text, labels=example.labels, note=note))
        return tuple(found)

    def finding(self, check: str, severity: Severity, rows: Iterable[int] | Mapping[int, str], **said: Any) -> Finding:
        """A finding about ``rows``, each with a note if ``rows`` is a mapping; ``said`` are its other fields."""
        positions, notes = list(rows), list(rows.values()) if isinstance(rows, Mapping) else None
        listed = self._rows(positions, notes)
        return Finding(check=check, severity=severity, n_rows=len(positions), rows=listed, **said)

    def fix(self, position: int, action: Action, check: str, why: str, *, apply: bool, labels: Iterable[str] = (),
            text: str = "") -> Fix:  # fmt: skip
        """The fix for one row. Fixes of evaluation rows are never proposed with ``apply``: a person has to decide."""
        example = (self.as_written or self.table).examples[position]
        return Fix(
            apply=apply and bool(self.table.is_training[position]),
            action=action,
            split=self.table.split(position),
            row=example.row,
            text=example.text,
            labels=example.labels,
            new_text=text,
            new_labels=tuple(sorted(labels)),
            check=check,
            why=why,
        )
