"""A text that can be asked with some of its words left out, within a number of calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..labels import LabelSet, Task
from ..model import Answers, BoolArray, FloatArray, Model
from ..prediction import Prediction
from ..runtime.calibration import Calibrated
from ..runtime.decision import Decided
from ..text import spans

_CERTAIN = 1e-7  # a probability nearer to 0 or 1 than this is taken for this: 16 in log odds
_NOTHING = "…"  # a service refuses a message without a character
_SENTENCE = (
    " The text is longer than the model reads: the answer is that to one of its sentences, and only its words weigh."
)


class Answering(Protocol):
    """What is explained: :class:`~purport.classifier.Classifier`."""

    bundle: Bundle
    model: Model
    labels: LabelSet
    task: Task

    def answer(self, texts: Sequence[str]) -> Answers:
        """The model's answers."""
        ...

    def decide(self, answers: Answers) -> Decided:
        """The decided labels of ``answers``."""
        ...

    def predictions(
        self, answers: Answers, thresholds: Sequence[float | None], tops: Sequence[int | None]
    ) -> list[Prediction]:
        """``answers`` as predictions."""
        ...


class Read(NamedTuple):
    """What has the answer: ``text``, all of it or a sentence that stands at ``start``; ``note`` says so."""

    text: str
    start: int = 0
    note: str = ""


class Answered(NamedTuple):
    """What is remembered of the answer to a text: ``(n_labels,)`` probabilities, and which labels are decided."""

    probabilities: FloatArray
    decided: BoolArray


class Units:
    """``text`` in units that can be left out: its words, or groups of neighbours if there are more than ``most``.

    A unit goes with the white space behind it, so that the text with all units is the text itself.

    Attributes:
        places: ``(start, end)`` of each unit in ``text``, in characters.
        together: the largest number of words in a unit.
        full: ``(n_units,) bool``, the row of all units.
    """

    def __init__(self, text: str, most: int) -> None:
        self.text = text
        words = spans(text) or [(0, len(text))]
        edges = np.linspace(0, len(words), min(most, len(words)) + 1).round().astype(int).tolist()
        self.places = [(words[first][0], words[end - 1][1]) for first, end in pairwise(edges)]
        self.together = max(end - first for first, end in pairwise(edges))
        self.full = np.ones(len(self.places), dtype=np.bool_)
        starts = [0, *(start for start, _ in self.places[1:]), len(text)]
        self._parts = [text[start:end] for start, end in pairwise(starts)]

    def __len__(self) -> int:
        return len(self.places)

    def kept(self, kept: BoolArray, *, remote: bool = False) -> str:
        """The text of the units that are ``kept (n_units,) bool``; for a ``remote`` model it is never empty."""
        if kept.all():
            return self.text
        remains = "".join(part for part, keep in zip(self._parts, kept.tolist(), strict=True) if keep).strip()
        return remains or (_NOTHING if remote else "")


def read_of(question: Question) -> Read:
    """What of the text of ``question`` a model of our own answers: one of its sentences, or all of it."""
    model, text = question.answering.model, question.units.text
    if not question.whole.truncated[0] or not isinstance(model, Calibrated) or (place := model.decisive(text)) is None:
        return Read(text)
    return Read(text[slice(*place)], place[0], _SENTENCE)


class Question:
    """A text that is asked with some of its units left out. What was asked is remembered.

    ``whole`` is the answer to the text, and ``known`` are those to others, by text, where they are there already; they
    count as calls too.

    Attributes:
        units: the units of the text.
        calls: number of texts that the model was asked.
        whole: the model's answer to the text.
    """

    def __init__(
        self, answering: Answering, units: Units, whole: Answers | None = None,
        known: Mapping[str, Answered] | None = None,
    ) -> None:  # fmt: skip
        self.answering = answering
        self.units = units
        self.calls = 0
        self._given = known or {}
        self._known: dict[bytes, Answered] = {}
        self.whole = self._remember([units.full], whole or self._ask([units.full]))

    def without(self, kept: BoolArray) -> str:
        """The text of the units that are ``kept (n_units,) bool``."""
        return self.units.kept(kept, remote=self.answering.model.traits.remote)

    def values(self, kept: BoolArray, label: int) -> NDArray[np.float64]:
        """The log odds ``(m,) float64`` of ``label`` for each row of ``kept (m, n_units) bool``."""
        self.require(kept)
        return log_odds(np.array([self._known[row.tobytes()].probabilities[label] for row in kept]))

    def decided(self, kept: BoolArray) -> BoolArray:
        """The decided labels ``(m, n_labels) bool`` for each row of ``kept (m, n_units) bool``."""
        self.require(kept)
        return np.array([self._known[row.tobytes()].decided for row in kept])

    def knows(self, kept: BoolArray) -> bool:
        """Whether the row ``kept (n_units,) bool`` was asked already."""
        return kept.tobytes() in self._known

    def require(self, kept: BoolArray) -> None:
        """Ask those rows of ``kept (m, n_units) bool`` that were not asked yet, together."""
        new = {row.tobytes(): row for row in kept if row.tobytes() not in self._known}
        for key, row in list(new.items()):
            if (found := self._given.get(self.without(row))) is not None:
                self._known[key] = found
                self.calls += 1
                del new[key]
        if new:
            self._remember(list(new.values()), self._ask(list(new.values())))

    def _ask(self, kept: list[BoolArray]) -> Answers:
        return self.answering.answer([self.without(row) for row in kept])

    def _remember(self, kept: list[BoolArray], answers: Answers) -> Answers:
        """``answers``, those for the rows of ``kept``."""
        decided = self.answering.decide(answers).labels
        for row, probabilities, labels in zip(kept, answers.probabilities, decided, strict=True):
            self._known[row.tobytes()] = Answered(probabilities, labels)
        self.calls += len(kept)
        return answers


def without_each(n: int) -> BoolArray:
    """All units but one: ``(n, n) bool``, row ``i`` lacks unit ``i``."""
    return ~np.eye(n, dtype=np.bool_)


def log_odds(probability: FloatArray) -> NDArray[np.float64]:
    """log(p / (1 - p)), at most 16 in size."""
    bounded = np.clip(probability.astype(np.float64), _CERTAIN, 1 - _CERTAIN)
    odds: NDArray[np.float64] = np.log(bounded) - np.log1p(-bounded)
    return odds
