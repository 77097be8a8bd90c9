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

Why = Literal["label", "bundles", "out_of_scope", "unsure", "doubtful"]
"""Why a text is shown: model and given label disagree, two bundles disagree, no label applies, low confidence, or low
confidence of the bundle that labelled it before."""
Omitted = Literal["sure", "none", "same", "declined", "most"]
"""Why a text is not shown: the bundle is sure and nothing disagrees; it is sure that no label applies, and the data has
none; another text is the same; it is one of many that no label certainly applies to; or the queue is full."""
ALIKE = 0.4
"""Cosine of TF-IDF from which on texts that are decided alike stand together (docs/decisions/0043)."""
_WIDTH = 4096  # of the hashed features
_TYPICAL = 5  # typical texts of a rare label that come first
_RARE = 20  # training rows up to which a label is rare
_LARGEST_BATCH = 25
_OF_DECLINED = 3  # texts of a group of sure rejections that are asked about
_FEWEST_DECLINED, _SHARE_DECLINED = 20, 0.25  # sure rejections in a queue: at least, and as a share of all other texts


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text with its answers, which are the fields of :func:`purport.prediction.encode`.

    ``labels`` are those in the data, ``None`` where it has none. ``other`` is the answer of a second bundle.
    ``doubtful``: whoever labelled it before was not sure, so that it is shown in any case.
    """

    text: str
    answer: Mapping[str, Any]
    labels: tuple[str, ...] | None = None
    other: Mapping[str, Any] | None = None
    where: str = ""
    doubtful: bool = False

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


@dataclass(frozen=True, slots=True)
class Limits:
    """How many texts are picked (``most``), the confidence ``below`` which the bundle counts as unsure, and whether
    ``all_declined``: all texts that certainly no label applies to are picked, not a few of each kind."""

    most: int = 500
    below: float = 0.8
    all_declined: bool = False


USUAL = Limits()
"""The limits unless others are asked for."""


def certainty(answer: Mapping[str, Any]) -> float:
    """How sure a bundle is of what it decided, in [0, 1]: the lowest confidence of a decided label; without one, the
    probability that none applies."""
    if not answer["labels"]:
        return 1.0 - float(answer.get("in_scope") or 0.0)
    likely = {each["label"]: float(each["confidence"]) for each in answer["intents"]}
    return min(likely.get(label, 1.0) for label in answer["labels"])


def uncertainty(answer: Mapping[str, Any], task: Task) -> float:
    """How unsure an answer is, in [0, 1].

    multiclass: 1 minus the margin between the two likeliest labels (Scheffer et al. 2001). multilabel: how near the
    probability of some label is to one half. Where no label is decided and ``in_scope`` is known: how near that is to
    one half.
    """
    if not answer["labels"] and answer.get("in_scope") is not None:
        return float(1 - 2 * abs(answer["in_scope"] - 0.5))
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
    unsure = certainty(answer) < below
    if not answer["labels"]:
        return "out_of_scope" if candidate.labels is None or candidate.doubtful or unsure else None
    likely = {each["label"]: each["confidence"] for each in answer["intents"]}
    if task is Task.MULTILABEL:
        unsure |= any(each > 1 - below for label, each in likely.items() if label not in answer["labels"])
    return "unsure" if unsure else "doubtful" if candidate.doubtful else None


def pick(
    candidates: Iterable[Candidate], task: Task, limits: Limits = USUAL, *, known: Mapping[str, int] | None = None
) -> tuple[list[Picked], dict[Omitted, int]]:
    """The texts worth a look, in the order in which they teach most, and the number of the others by why they are not.

    ``known`` is the number of training rows of each label: first come typical texts of labels with few of them, then
    the uncertain ones, and no two batches of one likeliest label follow each other while there are others. Texts that
    stand together in a batch follow each other, as one decision is enough for them. Texts that certainly no label
    applies to come last, a few of each kind, the most frequent kind first. Equal texts are taken once.
    """
    left: Counter[Omitted] = Counter()
    found: dict[tuple[str, tuple[str, ...] | None], tuple[Candidate, Why]] = {}
    for each in candidates:
        reason = why(each, task, limits.below)
        key = (" ".join(words(each.text)) or each.text.strip(), each.labels)
        if reason is None:
            left["sure" if each.decided else "none"] += 1
        elif key in found:
            left["same"] += 1
        else:
            found[key] = (each, reason)
    ranked = sorted(found.values(), key=lambda pair: -_weight(pair[0], pair[1], task))
    sampled = [pair for pair in ranked if _sampled(*pair, limits)]
    others = [pair for pair in ranked if not _sampled(*pair, limits)]
    left["most"] += len(others) - len(others := others[: limits.most])
    few = _a_few([each for each, _ in sampled], max(_FEWEST_DECLINED, int(_SHARE_DECLINED * len(others))))
    shown = few[: limits.most - len(others)]
    left["declined"] += len(sampled) - len(few)
    left["most"] += len(few) - len(shown)
    chosen = others + [sampled[at] for at in shown]
    return _in_order(chosen, len(others), task, known or {}), {name: n for name, n in left.items() if n}


def _sampled(candidate: Candidate, reason: Why, limits: Limits) -> bool:
    """Whether the text is one of which a few are enough: certainly no label applies, and nothing disagrees."""
    sure = reason == "out_of_scope" and certainty(candidate.answer) >= limits.below
    return sure and not candidate.doubtful and not limits.all_declined


def _a_few(candidates: Sequence[Candidate], most: int) -> list[int]:
    """Positions of at most ``most`` texts, few of each kind: first those of the largest groups of texts alike."""
    if not candidates:
        return []
    batches = sorted(_batches(candidates, tf_idf([each.text for each in candidates])), key=len, reverse=True)
    return [at for batch in batches for at in batch[:_OF_DECLINED]][:most]


def _in_order(
    chosen: Sequence[tuple[Candidate, Why]], first: int, task: Task, known: Mapping[str, int]
) -> list[Picked]:
    """What is ``chosen`` in batches and in order; what stands behind the ``first`` texts comes last."""
    if not chosen:
        return []
    candidates = [each for each, _ in chosen]
    vectors = tf_idf([each.text for each in candidates])
    batches = _batches(candidates[:first], vectors[:first])
    late = [[first + at for at in batch] for batch in _batches(candidates[first:], vectors[first:])]
    ordered = [*_order(batches, candidates, vectors, task, known), *sorted(late, key=len, reverse=True)]
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
        same = leaders[each.decided, each.labels, each.likeliest if each.decided else None]
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
