"""What each word of a text contributes to the logit of a linear model: an exact account."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

import numpy as np

from ...bundle import Bundle
from ...explaining.explainer import Weighed
from ...explaining.question import Question, read_of
from ...model import BoolArray
from ...runtime.calibration import Calibrated
from .located import located
from .model import LinearScorer

_NOTE = (
    "A weight is the exact sum of what the n-grams of the word add to the logit of the label; an n-gram of several "
    "words is shared evenly. Base, which is the bias, and weights add up to the logit."
)


class Contributions:
    """Weight times TF-IDF of each n-gram, shared by the words that its characters are from.

    Length normalisation is taken as it is for this text, so that the shares are exact for it, and tell nothing of
    another one.
    """

    calls = 32
    served = True

    def unfit(self, bundle: Bundle) -> str | None:
        """See :class:`~purport.explaining.explainer.Explainer`: it needs a linear model."""
        if bundle.manifest.opener == "linear":
            return None
        return f"it is of kind {bundle.manifest.kind}, and only linear models add up; use occlusion or shapley"

    def units(self, calls: int) -> int:
        """See :class:`~purport.explaining.explainer.Explainer`: it asks nothing."""
        return 2**20

    def plan(self, n: int, calls: int) -> BoolArray:
        """See :class:`~purport.explaining.explainer.Explainer`: nothing."""
        return np.zeros((0, n), dtype=np.bool_)

    def __call__(self, question: Question, label: int, calls: int) -> Weighed:
        """See :class:`~purport.explaining.explainer.Explainer`."""
        model = question.answering.model
        assert isinstance(model, Calibrated) and isinstance(model.scorer, LinearScorer), "fits"
        starts, read = [start for start, _ in question.units.places], read_of(question)
        weights = np.zeros(len(starts))
        for place, value in _by_place(model.scorer, read.text, label).items():
            weights[max(0, bisect_right(starts, read.start + place) - 1)] += value
        base = float(model.scorer.bias[label])
        full = float(model.score([read.text]).logits[0, label])
        return Weighed(weights, "logit", full, base, note=_NOTE + read.note)


def _by_place(scorer: LinearScorer, text: str, label: int) -> dict[int, float]:
    """What the characters of ``text`` add to the logit of ``label``, by their place."""
    places: defaultdict[str, list[tuple[int, ...]]] = defaultdict(list)
    for term, made_of in located(scorer.ngrams, text):
        if term in scorer.vocabulary:
            places[term].append(made_of)
    if not places:
        return {}
    columns = np.array([scorer.vocabulary[term] for term in places])
    counts = np.array([len(each) for each in places.values()], dtype=np.float64)
    features = (1 + np.log(counts)) * scorer.idf[columns]
    added = features / np.linalg.norm(features) * scorer.weights[columns, label] / counts
    found: defaultdict[int, float] = defaultdict(float)
    for value, occurrences in zip(added.tolist(), places.values(), strict=True):
        for made_of in occurrences:
            for place in made_of:
                found[place] += value / len(made_of)
    return found


CONTRIBUTIONS = Contributions()
