"""What is to be taught, checked against a bundle's labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.reading import Example, text_problem
from ..errors import ExamplesUnfit, LabelUnknown, did_you_mean
from ..labels import LabelSet, Task, too_many
from ..model import BoolArray
from ..text import normal_form

LEAST_NEW = 5
"""Examples with which a new label can be begun."""
MOST = 10_000
"""Taught examples that a bundle may have: beyond, training is what helps."""


@dataclass(frozen=True)
class Lesson:
    """Examples to teach; ``labels`` are those of the bundle, and then the new ones."""

    texts: tuple[str, ...]
    gold: tuple[tuple[str, ...], ...]
    labels: LabelSet
    new: tuple[str, ...]

    @property
    def matrix(self) -> BoolArray:
        """The labels of the examples: ``(n, n_labels) bool``."""
        return self.labels.encode(self.gold)


def lesson(examples: Iterable[Example], known: LabelSet, task: Task, new: Sequence[str] = ()) -> Lesson:
    """``examples`` for a bundle with the labels ``known``; labels in ``new`` may be begun with fewer than five.

    Raises:
        ExamplesUnfit: there are none, or one cannot be used.
        LabelUnknown: a label is new and has too few examples.
    """
    held = list(examples)
    if not held:
        raise ExamplesUnfit("there is no example to teach; give a text and its labels")
    if len(held) > MOST:
        raise ExamplesUnfit(f"{len(held):,} examples are more than can be taught ({MOST:,}); train with them")
    seen: dict[str, tuple[str, ...]] = {}
    counts: dict[str, int] = {}
    for number, example in enumerate(held, start=1):
        _require_fit(number, example, task)
        labels = tuple(sorted(set(example.labels)))
        form = normal_form(example.text)
        if seen.setdefault(form, labels) != labels:
            raise ExamplesUnfit(
                f"example {number} ({shown(example.text)}) occurs twice with different labels; keep one of them"
            )
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
    begun = [label for label in counts if label not in known]
    for label in begun:
        if counts[label] < LEAST_NEW and label not in new:
            raise LabelUnknown(
                f'the bundle has no label "{label}".{did_you_mean(label, known)} To begin a new label, teach at least '
                f"{LEAST_NEW} examples of it at once (given: {counts[label]})"
            )
    if begun and (why := too_many((*known.names, *begun))):
        raise ExamplesUnfit(f"with the new labels, {why}")
    return Lesson(
        tuple(example.text for example in held),
        tuple(tuple(sorted(set(example.labels))) for example in held),
        LabelSet((*known.names, *begun)),
        tuple(begun),
    )


def _require_fit(number: int, example: Example, task: Task) -> None:
    where = f"example {number}"
    if problem := text_problem(example.text):
        raise ExamplesUnfit(f"{where}: {problem}; correct it or leave it out")
    if not all(isinstance(label, str) and label.strip() for label in example.labels):
        raise ExamplesUnfit(f"{where} ({shown(example.text)}): a label is empty; name it, or give no label at all")
    if task is Task.MULTICLASS and len(set(example.labels)) > 1:
        raise ExamplesUnfit(
            f"{where} ({shown(example.text)}) has {len(set(example.labels))} labels, but the task is multiclass; "
            "give the one that fits best"
        )


def shown(text: str) -> str:
    """The beginning of ``text`` in quotes."""
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"'


def named(labels: Sequence[str]) -> str:
    """``labels`` in one word, or that there is none."""
    return "+".join(labels) or "no label"


def padded(gold: BoolArray, n_labels: int) -> BoolArray:
    """``gold (n, m)`` with columns for labels that were begun since: ``(n, n_labels) bool``."""
    found: BoolArray = np.pad(gold, ((0, 0), (0, n_labels - gold.shape[1])))
    return found
