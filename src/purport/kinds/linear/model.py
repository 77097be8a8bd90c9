"""The linear model: TF-IDF of word and character n-grams times a weight matrix."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...arrays import Form, read_arrays
from ...bundle import Bundle
from ...contents import read_json
from ...errors import BundleCorrupt, DeviceUnavailable
from ...manifest import Count, ModelFacts
from ...model import FloatArray, Lengths, Model, Traits
from ...runtime.calibration import Scores, calibrated, unit
from .ngrams import Ngrams

WEIGHTS_FILE = "linear.npz"
VOCABULARY_FILE = "vocabulary.json"
_ARRAYS = {"idf": Form("float32"), "weights": Form("float32", axes=2), "bias": Form("float32")}


class LinearFacts(ModelFacts):
    """Manifest facts of a linear bundle; ``features`` counts n-grams."""

    unit: str = "characters"
    ngrams: Ngrams
    features: Count


def open_model(bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> Model:
    """The model of ``bundle``. It runs on the CPU only, in one thread.

    Raises:
        DeviceUnavailable: another device is requested.
        BundleCorrupt: a file cannot be loaded.
    """
    if device != "cpu":
        raise DeviceUnavailable(f'a linear model only runs on the CPU, not on "{device}"; omit --device')
    facts = bundle.facts(LinearFacts)
    scorer = LinearScorer.load(bundle.path, facts.ngrams)
    if len(scorer.vocabulary) != facts.features:
        raise BundleCorrupt(bundle.path, VOCABULARY_FILE, f"does not have {facts.features:,} n-grams")
    return calibrated(scorer, bundle)


@dataclass(frozen=True, eq=False)
class LinearScorer:
    """Features are ``(1 + ln tf) · idf``, scaled to length 1 (Manning et al. 2008, ch. 6); logits are affine.

    The embedding of a text is what the weights make of it, without bias and at length 1: it tells what is in scope
    better than the features themselves do, and costs nothing.

    Attributes:
        ngrams: splits a text into n-grams.
        vocabulary: the column of each known n-gram.
        idf: ``(n_features,) float32``.
        weights: ``(n_features, n_labels) float32``.
        bias: ``(n_labels,) float32``.
    """

    ngrams: Ngrams
    vocabulary: dict[str, int]
    idf: FloatArray
    weights: FloatArray
    bias: FloatArray
    traits: ClassVar[Traits] = Traits()

    @classmethod
    def load(cls, path: Path, ngrams: Ngrams) -> LinearScorer:
        """Load the files in ``path``, whether or not it is a finished bundle."""
        arrays = read_arrays(path, WEIGHTS_FILE, _ARRAYS)
        terms = read_json(path, VOCABULARY_FILE)
        if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
            raise BundleCorrupt(path, VOCABULARY_FILE, "is not a list of n-grams")
        scorer = cls(ngrams, {term: column for column, term in enumerate(terms)}, **arrays)
        n, n_labels = len(terms), len(scorer.bias)
        if (len(scorer.vocabulary), len(scorer.idf), *scorer.weights.shape) != (n, n, n, n_labels):
            raise BundleCorrupt(path, WEIGHTS_FILE, f"does not fit the {n:,} n-grams of {VOCABULARY_FILE}")
        return scorer

    def save(self, path: Path) -> None:
        """Write the files that :meth:`load` reads."""
        terms = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        (path / VOCABULARY_FILE).write_text(json.dumps(terms, ensure_ascii=False), "utf-8")
        np.savez(path / WEIGHTS_FILE, idf=self.idf, weights=self.weights, bias=self.bias)

    def score(self, texts: Sequence[str]) -> Scores:
        """See :class:`~purport.runtime.calibration.Scorer`."""
        margins = np.zeros((len(texts), len(self.bias)), dtype=np.float32)
        familiar = np.zeros(len(texts), dtype=np.float32)
        for row, text in enumerate(texts):
            familiar[row] = self._read(text, margins[row])
        lengths = self.lengths(texts)
        return Scores(margins + self.bias, lengths.counts > lengths.limit, unit(margins), familiar)

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """See :class:`~purport.runtime.calibration.Scorer`."""
        counts = np.array([len(self.ngrams.normalised(text)) for text in texts], dtype=np.int64)
        return Lengths("characters", self.ngrams.max_characters, counts)

    def _read(self, text: str, margins: FloatArray) -> float:
        """Write what the weights make of ``text`` to ``margins (n_labels,)``; return the share of known n-grams."""
        terms = list(self.ngrams(text))
        counts = Counter(term for term in terms if term in self.vocabulary)
        if not counts:
            return 0.0
        columns = np.fromiter((self.vocabulary[term] for term in counts), dtype=np.intp, count=len(counts))
        frequency = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
        features = (1 + np.log(frequency)) * self.idf[columns]
        features /= np.linalg.norm(features)
        np.matmul(features, self.weights[columns], out=margins)
        return counts.total() / len(terms)
