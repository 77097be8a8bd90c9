"""Which texts people should look at, what stands together, and in which order they learn most from it."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from ..labels import Task
from ..model import FloatArray
from ..text import words

Why = Literal["label", "bundles", "out_of_scope", "unsure"]
"""Why a text is shown: model and given label disagree, two bundles disagree, no label applies, or low confidence."""
ALIKE = 0.6
"""Cosine of TF-IDF from which on texts that are decided alike stand together."""
_WIDTH = 4096  # of the hashed features
_TYPICAL = 5  # typical texts of a rare label that come first
_RARE = 20  # training rows up to which a label is rare
_LARGEST_BATCH = 25


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text with its answers, which are the fields of :func:`purport.prediction.encode`.

    ``labels`` are those in the data, ``None`` where it has none. ``other`` is the answer of a second bundle.
    """

    text: str
    answer: Mapping[str, Any]
    labels: tuple[str, ...] | None = None
    other: Mapping[str, Any] | None = None
    where: str = ""

    @property
    def decided(self) -> tuple[str, ...]:
        """The decided labels, in alphabetical order."""
        return tuple(sorted(self.answer["labels"]))

    @property
    def likeliest(self) -> str:
        """The most likely label."""
        return str(self.answer["intents"][0]["label"])


@dataclass(frozen=True, slots=True)
class Picked:
    """A text to look at. Those with the same ``batch`` are alike and decided alike."""

    candidate: Candidate
    why: Why
    batch: int


def uncertainty(answer: Mapping[str, Any], task: Task) -> float:
    """How unsure an answer is, in [0, 1].

    multiclass: 1 minus the margin between the two likeliest labels (Scheffer et al. 2001). multilabel: how near the
    probability of some label is to one half.
    """
    likely = [each["confidence"] for each in answer["intents"]]
    if task is Task.MULTICLASS:
        return float(1 - (likely[0] - (likely[1] if len(likely) > 1 else 0)))
    return float(1 - 2 * min(abs(each - 0.5) for each in likely))


def why(candidate: Candidate, task: Task, below: float) -> Why | None:
    """Why the text should be looked at; ``None`` if it is undisputed, and decided with at least ``below``."""
    answer = candidate.answer
    if candidate.labels is not None and tuple(sorted(candidate.labels)) != candidate.decided:
        return "label"
    if candidate.other is not None and sorted(candidate.other["labels"]) != sorted(answer["labels"]):
        return "bundles"
    if not answer["labels"]:
        return "out_of_scope" if candidate.labels is None else None
    likely = {each["label"]: each["confidence"] for each in answer["intents"]}
    unsure = min(likely.get(label, 1.0) for label in answer["labels"]) < below
    if task is Task.MULTILABEL:
        unsure |= any(each > 1 - below for label, each in likely.items() if label not in answer["labels"])
    return "unsure" if unsure else None


def pick(
    candidates: Iterable[Candidate], task: Task, *, most: int = 500, below: float = 0.8,
    known: Mapping[str, int] | None = None,
) -> list[Picked]:  # fmt: skip
    """At most ``most`` texts worth a look, in the order in which they teach most.

    ``known`` is the number of training rows of each label: first come typical texts of labels with few of them, then
    the uncertain ones, and no two batches of one likeliest label follow each other while there are others. Texts that
    stand together in a batch follow each other, as one decision is enough for them. Equal texts are taken once.
    """
    found: dict[tuple[str, tuple[str, ...] | None], tuple[Candidate, Why]] = {}
    for each in candidates:
        reason = why(each, task, below)
        if reason is not None:
            found.setdefault((" ".join(words(each.text)) or each.text.strip(), each.labels), (each, reason))
    chosen = sorted(found.values(), key=lambda pair: -_weight(pair[0], pair[1], task))[:most]
    if not chosen:
        return []
    vectors = tf_idf([each.text for each, _ in chosen])
    batches = _batches([each for each, _ in chosen], vectors)
    ordered = _order(batches, [each for each, _ in chosen], vectors, task, known or {})
    return [Picked(*chosen[at], number) for number, batch in enumerate(ordered, 1) for at in batch]


def tf_idf(texts: Sequence[str]) -> FloatArray:
    """Unit vectors ``(n, 4096) float32`` of words and word pairs, hashed: what is alike without a model."""
    found = [words(text) for text in texts]
    matrix = np.zeros((len(texts), _WIDTH), dtype=np.float32)
    for row, each in enumerate(found):
        for term in (*each, *(f"{left} {right}" for left, right in pairwise(each))):
            matrix[row, zlib.crc32(term.encode("utf-8", "replace")) % _WIDTH] += 1
    frequency = (matrix > 0).sum(axis=0)
    matrix *= np.log((1 + len(texts)) / (1 + frequency)).astype(np.float32) + 1
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _weight(candidate: Candidate, why: Why, task: Task) -> float:
    """Disputed texts first, then those that the model is least sure of."""
    return {"label": 2.0, "bundles": 2.0}.get(why, 0.0) + uncertainty(candidate.answer, task)


def _batches(candidates: Sequence[Candidate], vectors: FloatArray) -> list[list[int]]:
    """Positions of texts that are alike and decided alike: each is compared with the first text of each batch."""
    batches: list[list[int]] = []
    leaders: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, each in enumerate(candidates):
        same = leaders[each.decided, each.labels, each.likeliest]
        likeness = vectors[[batches[number][0] for number in same]] @ vectors[at]
        for place in np.argsort(-likeness).tolist():
            if likeness[place] >= ALIKE and len(batches[same[place]]) < _LARGEST_BATCH:
                batches[same[place]].append(at)
                break
        else:
            same.append(len(batches))
            batches.append([at])
    return batches


def _order(
    batches: Sequence[list[int]], candidates: Sequence[Candidate], vectors: FloatArray, task: Task,
    known: Mapping[str, int],
) -> list[list[int]]:  # fmt: skip
    """``batches`` in the order in which they are shown."""
    of_label: dict[str, list[int]] = defaultdict(list)
    for number, batch in enumerate(batches):
        of_label[candidates[batch[0]].likeliest].append(number)
    typical: list[tuple[int, int, int]] = []
    for label, numbers in of_label.items():
        if known.get(label, _RARE + 1) > _RARE:
            continue
        first = vectors[[batches[number][0] for number in numbers]]
        near = np.argsort(-(first @ first.mean(axis=0)), kind="stable")[:_TYPICAL]
        typical += [(rank, known[label], numbers[place]) for rank, place in enumerate(near.tolist())]
    early = [number for *_, number in sorted(typical)]
    sure = {number: -_weight_of(batch, candidates, task) for number, batch in enumerate(batches)}
    late = sorted(set(range(len(batches))) - set(early), key=sure.__getitem__)
    labels = [candidates[batch[0]].likeliest for batch in batches]
    return [batches[number] for number in (*early, *_spread(late, labels))]


def _weight_of(batch: Sequence[int], candidates: Sequence[Candidate], task: Task) -> float:
    return max(uncertainty(candidates[at].answer, task) for at in batch)


def _spread(numbers: Sequence[int], labels: Sequence[str]) -> list[int]:
    """``numbers`` in about this order, but none after another of its label while others are left."""
    left, found = list(numbers), []
    counts = Counter(labels[number] for number in left)
    last = ""
    while left:
        place = 0
        if len(counts) > 1:
            place = next(at for at, number in enumerate(left) if labels[number] != last)
        number = left.pop(place)
        last = labels[number]
        counts[last] -= 1
        if not counts[last]:
            del counts[last]
        found.append(number)
    return found
