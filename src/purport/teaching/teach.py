"""Teaches a bundle examples: a new bundle in seconds, without training (docs/decisions/0027)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from textwrap import shorten

import numpy as np

from ..bundle import Bundle
from ..classifier import Classifier
from ..data.dataset import Dataset
from ..data.reading import Example
from ..data.shares import fingerprints
from ..errors import ExamplesUnfit, OthersChange
from ..evaluation.rows import own_data
from ..manifest import Decision, Likeliest
from ..model import Answers, BoolArray, FloatArray
from ..progress import SILENT, Reporter
from ..runtime.asking import rows_of
from ..runtime.calibration import Calibrated, Scores
from ..runtime.decision import decide
from ..runtime.memory import Memory, equal_rows
from ..runtime.taught_vectors import TaughtVectors, fitting_reach
from ..taught import Taught
from ..text import normal_form
from ..wording import count
from .contradictions import require_consistent
from .flips import TRAIN, VALID, Flip, Witnesses
from .lesson import MOST, Lesson, lesson, padded
from .rewriting import rewriting, taught_bundle, undone_bundle

# A multiclass bundle that rejects nothing needs a cut below which it does; in_scope of taught strangers is 0.
_LEAST_CUT = 0.001
_MOST_SHOWN = 10
_SHOWN = 60  # characters of a text in a message
# Of a cosine: what int8 vectors of a memory may be off, five standard deviations, and half the width of a reach.
_WITHIN = np.float32(0.02)
_MOST_SCORED = 1000


@dataclass(frozen=True)
class Teaching:
    """What teaching did.

    Attributes:
        bundle: the new bundle.
        parent: id of the bundle that was taught.
        examples: number of examples that were taught now.
        new_labels: labels that were begun.
        flips: validation and training rows that are decided otherwise than before, those that are now wrong first.
        checked: number of validation rows that were compared; 0 if the training data was not found.
    """

    bundle: Bundle
    parent: str
    examples: int
    new_labels: tuple[str, ...]
    flips: tuple[Flip, ...]
    checked: int


def teach(
    bundle: str | os.PathLike[str],
    examples: Iterable[Example],
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    allow_flips: int = 0,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> Teaching:
    """Teach the bundle in directory ``bundle`` these ``examples``; an example without labels is out of scope.

    Each text and its close paraphrases are answered so from then on; what is unlike it is answered exactly as before.
    How far an example reaches is bounded by what has other labels: training examples, validation rows that are decided
    right, and other taught examples. The new bundle takes the place of the old one in one step, or is written to
    ``out``.

    ``force`` teaches also what contradicts a training or validation row, or an earlier example, with the same text;
    such rows may then become wrong. It teaches texts that are longer than the model reads, too: others in which it
    reads the same are then answered alike.

    Raises:
        BundleError: there is no such bundle, or it does not remember its training examples.
        ExamplesUnfit, LabelUnknown: an example cannot be used, contradicts what is known, or has a new label with fewer
            than five examples.
        OthersChange: more than ``allow_flips`` validation or training rows would become wrong; nothing is written.
        OutputExists, OutputUnwritable: the new bundle cannot be written.
    """
    with rewriting(bundle, out, overwrite=overwrite, reporter=reporter) as place:
        pupil = Pupil.of(place.bundle, reporter)
        given = lesson(examples, place.bundle.labels, place.bundle.manifest.task)
        if not force:
            require_consistent(given, pupil.rows, Taught.load(place.bundle.path).examples)
        taught, decision = pupil.after(given, cut=force), pupil.decision(given)
        _require_room(taught)
        flips = pupil.flips(given, taught, decision)
        meant = {normal_form(text) for text in given.texts} if force else set()
        _require_few([flip for flip in flips if flip.broken and normal_form(flip.text) not in meant], allow_flips)
        pupil.require_learned(given, taught, decision)
        written = taught_bundle(place, given, taught, decision)
    return Teaching(
        written, place.bundle.manifest.id, len(given.texts), given.new, flips, len(pupil.witnesses.examples)
    )


def undo(
    bundle: str | os.PathLike[str], *, out: str | os.PathLike[str] | None = None, overwrite: bool = False,
    reporter: Reporter = SILENT,
) -> Bundle:  # fmt: skip
    """The bundle without what it was taught last: the one that it was before, with the same id.

    Raises:
        BundleError: there is no such bundle.
        TeachingError: it was not taught anything.
        OutputExists, OutputUnwritable: it cannot be written.
    """
    with rewriting(bundle, out, overwrite=overwrite, reporter=reporter) as place:
        return undone_bundle(place)


@dataclass(frozen=True)
class Pupil:
    """A bundle that is to be taught: its model, the validation rows whose answers must stay, and its data, if found."""

    bundle: Bundle
    model: Calibrated
    memory: Memory
    witnesses: Witnesses
    data: Dataset | None = None

    @classmethod
    def of(cls, bundle: Bundle, reporter: Reporter = SILENT) -> Pupil:
        """Open ``bundle`` and score its validation rows.

        Raises:
            MemoryMissing: it does not remember its training examples.
        """
        classifier = Classifier.open(bundle)
        model, memory = classifier.remembering()
        data = own_data(bundle)
        valid = [] if data is None or VALID not in data.splits else list(data[VALID])
        return cls(bundle, model, memory, Witnesses.of(valid, model, VALID, reporter), data)

    @property
    def rows(self) -> dict[str, Iterable[Example]]:
        """The training and validation rows, as far as the data was found."""
        return {name: self.data[name] for name in (TRAIN, VALID) if self.data is not None and name in self.data.splits}

    def after(self, given: Lesson, *, cut: bool = False) -> TaughtVectors:
        """All taught examples with those of ``given``, each with its reach; ``cut``: also those not read to their end.

        Raises:
            ExamplesUnfit: the model has no vector for a text, or reads only a part of it.
        """
        scores, gold = self.model.score(list(given.texts)), given.matrix
        vectors = _embedding(scores)
        for text, vector, is_cut in zip(given.texts, vectors, scores.truncated.tolist(), strict=True):
            if is_cut and not cut:
                said = shorten(text, _SHOWN, placeholder=" …")
                raise ExamplesUnfit(
                    f'"{said}" is longer than the model reads, and every text in which it reads the same would be '
                    "answered alike; teach the sentence that says what is wanted"
                )
            if not vector.any():
                raise ExamplesUnfit(f'the model knows nothing of "{text}", so that it cannot be taught; train with it')
        old = (self.model.taught or TaughtVectors.none(vectors.shape[1], 0)).first_labels(gold.shape[1])
        nearest = self.memory.nearest_other(vectors, gold)
        wide = np.asarray(gold[:, self.bundle.manifest.scored :].any(axis=1))
        taught = old.followed_by(TaughtVectors(vectors, gold, np.empty(len(gold), dtype=np.float32), given.texts))
        counting = np.flatnonzero(taught.active)
        for others, labels in (self._kept(gold.shape[1]), (taught.vectors[counting], taught.gold[counting])):
            if len(others):
                cosine = np.where(equal_rows(gold, labels), np.float32(-1), vectors @ others.T)
                nearest = np.maximum(nearest, cosine.max(axis=1))
        return replace(taught, reach=np.concatenate([old.reach, fitting_reach(nearest, wide)]))

    def _kept(self, n_labels: int) -> tuple[FloatArray, BoolArray]:
        """Vectors and labels of the validation rows that are decided right."""
        if not self.witnesses.examples:
            return np.empty((0, self.memory.vectors.shape[1]), dtype=np.float32), np.empty(
                (0, n_labels), dtype=np.bool_
            )
        _, before = self.base
        decided = self.bundle.labels.decode(before)
        right = [set(a) == set(b.labels) for a, b in zip(decided, self.witnesses.examples, strict=True)]
        rows = np.flatnonzero(right)
        return _embedding(self.witnesses.scores)[rows], padded(before[rows], n_labels)

    @cached_property
    def base(self) -> tuple[Answers, BoolArray]:
        """What the bundle answers and decides for the validation rows, before it is taught."""
        return self._answered(self.witnesses.scores)

    def _answered(self, scores: Scores) -> tuple[Answers, BoolArray]:
        found = self.model.of(scores)
        return found, decide(found.probabilities, self.bundle.manifest.decision, found.in_scope).labels

    def decision(self, given: Lesson) -> Decision:
        """The decision with thresholds for new labels, and with a cut for ``in_scope`` if that is needed."""
        decision = self.bundle.manifest.decision
        if isinstance(decision, Likeliest):
            strangers = not all(given.gold)
            cut = max(decision.in_scope_at, _LEAST_CUT) if strangers else decision.in_scope_at
            return decision.model_copy(update={"in_scope_at": cut})
        return decision.model_copy(update={"thresholds": (*decision.thresholds, *(0.5 for _ in given.new))})

    def flips(self, given: Lesson, taught: TaughtVectors, decision: Decision) -> tuple[Flip, ...]:
        """The validation rows, and the training rows within reach, that are decided otherwise with ``taught``."""
        found: list[Flip] = []
        for witnesses in (self.witnesses, self.training(given, taught)):
            if witnesses.examples:
                base, before = self.base if witnesses is self.witnesses else self._answered(witnesses.scores)
                after = redecided(base, witnesses.scores, self.model.instructed(taught), taught, decision)
                found += witnesses.flips(padded(before, len(given.labels)), after, given.labels.names)
        return tuple(sorted(found, key=lambda flip: not flip.broken))

    def training(self, given: Lesson, taught: TaughtVectors) -> Witnesses:
        """The training rows whose answers ``given``, the last examples of ``taught``, may change for the worse.

        The memory tells which have other labels and are near a new example, or near an older one that no longer counts.
        Rows without a label are in no memory and count as near. Of more than 1,000, so many are scored, evenly spread.
        """
        rows = list(self.rows.get(TRAIN, ()))
        older, least = len(taught) - len(given.texts), taught.reach - _WITHIN
        new = slice(older, None)
        near = [self.memory.reached(taught.vectors[new], least[new], taught.gold[new])]
        if self.model.taught is not None:
            gone = np.flatnonzero(self.model.taught.active & ~taught.active[:older])
            near.append(self.memory.reached(taught.vectors[gone], least[gone]))
        reached = np.isin(fingerprints(rows), self.memory.prints[np.concatenate(near)])
        reached |= np.array([not row.labels for row in rows], dtype=np.bool_)
        chosen = np.flatnonzero(reached)
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), _MOST_SCORED)).astype(np.int64)]
        return Witnesses.of([rows[at] for at in chosen.tolist()], self.model, TRAIN)

    def require_learned(self, given: Lesson, taught: TaughtVectors, decision: Decision) -> None:
        """Check that the model now decides the labels of each example.

        Raises:
            ExamplesUnfit: it does not, because a threshold of the bundle is too high.
        """
        answers = self.model.instructed(taught).answer(list(given.texts))
        decided = decide(answers.probabilities, decision, answers.in_scope).labels
        for text, row, gold in zip(given.texts, decided, given.matrix, strict=True):
            if (row != gold).any():
                raise ExamplesUnfit(
                    f'"{text}" would still not get these labels: a threshold of the bundle is above 0.99, or an '
                    "example of the same meaning has other labels. Train again with lower thresholds, or correct it"
                )


def redecided(base: Answers, scores: Scores, model: Calibrated, taught: TaughtVectors, decision: Decision) -> BoolArray:
    """The labels ``(n, n_labels) bool`` that ``model`` decides, once ``taught``, for texts with these ``scores``.

    ``base`` are their answers before. Only texts near a taught example are answered again: the others stay the same.
    """
    wider = ((0, 0), (0, taught.n_labels - base.probabilities.shape[1]))
    after = decide(np.pad(base.probabilities, wider), decision, base.in_scope).labels
    near = np.flatnonzero(taught.weights(_embedding(scores))[0])
    answers = model.of(rows_of(scores, near))
    after[near] = decide(answers.probabilities, decision, answers.in_scope).labels
    return after


def _embedding(scores: Scores) -> FloatArray:
    assert scores.embedding is not None, "a memory is only made of embeddings"
    return scores.embedding


def _require_room(taught: TaughtVectors) -> None:
    if len(taught) > MOST:
        raise ExamplesUnfit(
            f"the bundle would have {len(taught):,} taught examples, and {MOST:,} are allowed; train with them "
            "(data.include_taught)"
        )


def _require_few(flips: Sequence[Flip], allowed: int) -> None:
    broken = [str(flip) for flip in flips]
    if len(broken) <= allowed:
        return
    shown = [f"  {said}" for said in broken[:_MOST_SHOWN]]
    more = [f"  and {len(broken) - _MOST_SHOWN:,} more"] if len(broken) > _MOST_SHOWN else []
    raise OthersChange(
        "\n".join(
            [
                f"{count(len(broken), 'row')} would become wrong (allowed: {allowed}); nothing was taught",
                *shown,
                *more,
                "Check the labels of your examples and of these rows. If this is what you want, allow it: "
                f"--allow-flips {len(broken)} (allow_flips)",
            ]
        )
    )
