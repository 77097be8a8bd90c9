"""Labels texts with a bundle, within its budget, in batches; what is answered is kept however the run ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..costs import Costs, LabelCost
from ..data.reading import Example
from ..labels import Task
from ..model import Answers, FloatArray
from ..predict_file import label_delimiter
from ..prediction import DIGITS, Prediction
from ..progress import SILENT, Line, Progress, Reporter
from ..runtime.asking import without_reply
from ..wording import count
from .answered import Ledger, same
from .typical import typical_first

_BATCH, _REMOTE_BATCH = 512, 64  # of the latter, what a run that is stopped may have asked for and not written
_WINDOW = 4  # batches whose texts are shuffled


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be labelled, and where it goes.

    Attributes:
        target: the table of labelled rows.
        review: the table of rows of less confidence than ``min_confidence``; ``None`` for none.
        limit: so many different texts, the most typical; ``None`` for all.
        seed: of the order in which texts are asked.
        batch: whether they are asked in a batch of the bundle's service.
    """

    target: Path
    review: Path | None = None
    min_confidence: float = 0.0
    limit: int | None = None
    seed: int = 0
    batch: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows are in the table, how many of them are out of scope, and how many rows are to be reviewed.

    Of the texts, ``unanswered`` got no usable reply and stand nowhere; ``earlier`` were labelled before. ``costs`` are
    what the others took by label, those without a usable reply included.
    """

    labelled: int
    doubtful: int
    out_of_scope: int
    unanswered: int
    earlier: int
    costs: Mapping[str, LabelCost]
    asked: int


def label(
    classifier: Classifier,
    examples: Sequence[Example],
    wanted: Wanted,
    *,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter = SILENT,
) -> Tally:
    """Label ``examples`` (their labels are ignored) and write them to tables; each different text is asked once.

    Texts are shuffled before they are put into batches, because models answer rows that come sorted by label
    differently. With ``resume``, rows that are in the tables stay as they are, and their texts are not asked again.

    Raises:
        OutputExists, DataError, RunMismatch: see :meth:`.answered.Ledger.open`.
        BudgetSpent: the bundle's budget does not allow the next request; what was answered is in the tables.
        ProviderError: a service fails; likewise.
    """
    bundle, delimiter = classifier.bundle.manifest.id, label_delimiter(classifier)
    ledgers = [Ledger(path, bundle, delimiter) for path in (wanted.target, wanted.review) if path]
    with ExitStack() as held:
        for ledger in ledgers:
            held.enter_context(ledger.open(resume=resume, overwrite=overwrite))
        return _label(classifier, examples, wanted, ledgers, reporter)


def _label(
    classifier: Classifier, examples: Sequence[Example], wanted: Wanted, ledgers: Sequence[Ledger], reporter: Reporter
) -> Tally:
    known = {text for ledger in ledgers for text in ledger.texts()}
    by_text: dict[str, list[Example]] = {}
    for example in examples:
        by_text.setdefault(same(example.text), []).append(example)
    reporter.emit(Progress("finding the most typical texts"))
    texts = list(by_text)
    chosen = [texts[row] for row in typical_first(texts, wanted.seed)[: wanted.limit].tolist()]
    todo = [by_text[text] for text in chosen if text not in known]
    run = _Run(classifier, wanted, ledgers, reporter)
    try:
        run.ask(todo)
    finally:
        for ledger in ledgers:
            ledger.save()
    doubtful = len(ledgers[1]) if len(ledgers) > 1 else 0
    earlier = len(chosen) - len(todo)
    return Tally(
        len(ledgers[0]), doubtful, ledgers[0].without_label, run.unanswered, earlier, run.costs.by_label(), len(todo)
    )


class _Run:
    """Asks about texts and writes down what comes back."""

    def __init__(self, classifier: Classifier, wanted: Wanted, ledgers: Sequence[Ledger], reporter: Reporter) -> None:
        self._classifier, self._wanted, self._ledgers, self._reporter = classifier, wanted, ledgers, reporter
        self._done = self.unanswered = 0
        self.costs = Costs(classifier.labels)

    def ask(self, todo: Sequence[Sequence[Example]]) -> None:
        """Label the examples, those of the same text together, the most typical first."""
        if self._wanted.batch and todo:
            self._classifier.prefetch([examples[0].text for examples in todo], self._reporter)
        for batch in _batches(todo, self._size(), self._wanted.seed):
            try:
                self._write(batch)
            except BaseException:
                self._rescue(batch)
                left = len(todo) - self._done
                self._reporter.emit(Line(f"{left:,} of {count(len(todo), 'text')} are left; go on with --resume"))
                raise
            self._reporter.emit(Progress("labelling", self._done, len(todo), "texts"))

    def _size(self) -> int:
        traits = self._classifier.model.traits
        size = _REMOTE_BATCH if traits.remote else _BATCH
        return size if traits.max_batch is None else min(size, traits.max_batch)

    def _rescue(self, batch: Sequence[Sequence[Example]]) -> None:
        """Write down what was answered of a batch that broke off, and costs nothing now."""
        there = self._classifier.has([examples[0].text for examples in batch])
        if self._classifier.model.traits.remote and there.any():
            self._write([batch[row] for row in np.flatnonzero(there).tolist()])

    def _write(self, batch: Sequence[Sequence[Example]]) -> None:
        answers = self._classifier.answer([examples[0].text for examples in batch])
        n, bundle = len(batch), self._classifier.bundle.manifest.id
        predictions = self._classifier.predictions(answers, [None] * n, [1] * n)
        self.costs.add([each.labels for each in predictions], answers.cost)
        sure = confidences(self._classifier, answers)
        kept: tuple[list[dict[str, Any]], ...] = ([], [])
        for examples, prediction, confidence, none in zip(
            batch, predictions, sure.tolist(), without_reply(answers).tolist(), strict=True
        ):
            self._done += 1
            if none:
                self.unanswered += 1
                continue
            doubtful = len(self._ledgers) > 1 and confidence < self._wanted.min_confidence
            kept[doubtful].extend(_row(example, prediction, confidence, bundle) for example in examples)
        for ledger, rows in zip(self._ledgers, kept, strict=False):
            ledger.add(rows)


def _batches(todo: Sequence[Sequence[Example]], size: int, seed: int) -> Iterator[list[Sequence[Example]]]:
    """``todo`` in batches, shuffled within so many of them: the most typical texts still come in the first ones."""
    chance = np.random.default_rng(seed)
    for start in range(0, len(todo), size * _WINDOW):
        window = todo[start : start + size * _WINDOW]
        order = chance.permutation(len(window)).tolist()
        for cut in range(0, len(order), size):
            yield [window[place] for place in order[cut : cut + size]]


def _row(example: Example, prediction: Prediction, confidence: float, bundle: str) -> dict[str, Any]:
    return {
        "text": example.text,
        "labels": list(prediction.labels),
        "confidence": round(confidence, DIGITS),
        "likeliest": prediction.ranked[0].label,
        "in_scope": round(prediction.in_scope, DIGITS),
        "reason": prediction.reason,
        "row": example.row,
        "bundle": bundle,
    }


def confidences(classifier: Classifier, answers: Answers) -> FloatArray:
    """How likely each decision is exactly right, ``(n,) float32``.

    multiclass: the probability of the decided label; multilabel: the product of ``p`` over decided labels and ``1 - p``
    over the others, as if labels were independent; either times ``in_scope``, where that is known from more than these
    probabilities. Where no label is decided: ``1 - in_scope``.
    """
    probabilities, decided = answers.probabilities, classifier.decide(answers)
    labels: NDArray[np.bool_] = decided.labels
    if classifier.task is Task.MULTILABEL:
        right = np.where(labels, probabilities, 1 - probabilities).prod(axis=1, dtype=np.float64)
    else:
        right = np.where(labels, probabilities, 0).max(axis=1, initial=0.0)
    right = np.where(answers.evident, right * answers.in_scope, right)
    found: FloatArray = np.where(decided.out_of_scope, 1 - answers.in_scope, right).astype(np.float32)
    return found
