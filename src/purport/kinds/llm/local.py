"""Kind ``llm`` with a model in this process: the log-likelihood of every allowed answer, as logits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...bundle import Bundle
from ...labels import LabelSet, Task
from ...manifest import Many, ModelFacts
from ...model import FloatArray, Lengths, Model, Traits
from ...optional import needs
from ...runtime.calibration import Scores, calibrated
from .likelihoods import Answers, Likely, LocalModel, shared
from .prompt import Prompt, PromptFile, quoted
from .recipe import Local
from .weights import GGUF, located

NEUTRAL = ("N/A", "[MASK]", "")
"""Texts without content (Zhao et al. 2021, "Calibrate Before Use", section 5)."""
_BATCH = 64
_SHORTER = 0.9


class LocalFacts(ModelFacts):
    """Manifest facts of kind ``llm`` with a model in this process.

    ``packed`` says whether texts and answers share what they begin with; otherwise each is read alone, which is
    slower. ``neutral`` has what the model says about texts without content: for one label per text the logarithm of
    the share of each label, otherwise the logarithm of the odds that it applies; empty if it is not taken off.
    """

    unit: str = "characters"
    local: Local
    checksum: str = Field(pattern="^[0-9a-f]{64}$")
    packed: bool = True
    neutral: Many[Annotated[float, Field(allow_inf_nan=False)]] = ()


class LocalScorer:
    """Logits from log-likelihoods.

    multiclass: the probability of each label among the allowed answers, which are the labels and "none of these".
    Those of the labels are divided by what the model says about texts without content (Zhao et al. 2021, with a
    diagonal matrix), which also takes off that long names are improbable. The share of "none of these" stays, because
    it is the right answer to such a text; it counts for all labels alike, so that none of them is probable.
    multilabel: the logarithm of the odds of ``true`` against ``false`` for each label, less those of such texts.
    """

    def __init__(self, facts: LocalFacts, written: PromptFile, labels: LabelSet, task: Task, model: LocalModel) -> None:
        self._facts, self._model = facts, model
        self._prompt = Prompt.of(written, labels, task, 1, each=True)
        self._answers = Answers.of([model.answer(text) for text in self._prompt.written])
        (self._system,) = self._prompt.systems
        self._room = model.context - self._answers.longest
        empty, full = (model.prompt(self._system, quoted(text)) for text in ("", "x"))
        self.spare = self._room - len(full)
        model.keep(empty[: shared(empty, full)])
        self._lock = threading.Lock()
        self.traits = Traits(max_batch=_BATCH)

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """See :class:`~purport.runtime.calibration.Scorer`."""
        return Lengths("characters", self._facts.limit, np.array([len(text) for text in texts], dtype=np.int64))

    def score(self, texts: Sequence[str]) -> Scores:
        """See :class:`~purport.runtime.calibration.Scorer`. What the model's context has no room for is cut off too."""
        likely, cut = self.likely(texts)
        lengths = self.lengths(texts)
        return Scores(self._logits(likely), cut | (lengths.counts > lengths.limit))

    def likely(self, texts: Sequence[str]) -> tuple[Likely, NDArray[np.bool_]]:
        """The log-likelihood of each answer, ``(n_texts, n_answers)``; and which texts the context has no room for."""
        found = [self._fitting(text[: self._facts.limit]) for text in texts]
        with self._lock:
            likely = self._model.score([tokens for tokens, _ in found], self._answers)
        return likely, np.array([cut for _, cut in found], dtype=np.bool_)

    def verified(self, texts: Sequence[str]) -> bool:
        """Whether sharing work changes no answer to ``texts``; see :class:`~.likelihoods.LocalModel`."""
        return self._model.verified([self._fitting(text[: self._facts.limit])[0] for text in texts], self._answers)

    def neutral(self) -> tuple[float, ...]:
        """What the model says about texts without content, on average (see :class:`LocalFacts`)."""
        likely, _ = self.likely(NEUTRAL)
        several = self._prompt.several
        averaged = np.logaddexp.reduce(_inside(likely, several), axis=0) - np.log(len(NEUTRAL))
        if several:
            averaged -= np.log(-np.expm1(np.minimum(averaged, -1e-12)))
        return tuple(float(each) for each in averaged.round(6))

    def _fitting(self, text: str) -> tuple[list[int], bool]:
        cut = False
        while len(tokens := self._model.prompt(self._system, quoted(text))) > self._room and text:
            cut = True
            text = text[: int(len(text) * _SHORTER)]
        return tokens, cut

    def _logits(self, likely: Likely) -> FloatArray:
        """``(n_texts, n_labels) float32`` from log-likelihoods."""
        several = self._prompt.several
        neutral = np.array(self._facts.neutral or [0.0])
        inside = _inside(likely, several)
        if several:
            odds: FloatArray = (_odds(likely) - neutral).astype(np.float32)
            return odds
        inside = _normalised(inside - neutral)
        whole = np.logaddexp.reduce(likely, axis=1, keepdims=True)
        none = likely[:, -1:] - whole
        some = np.logaddexp.reduce(likely[:, :-1], axis=1, keepdims=True) - whole
        found: FloatArray = np.logaddexp(inside + some, none - np.log(inside.shape[1])).astype(np.float32)
        return found


def _inside(likely: Likely, several: bool) -> Likely:
    """The logarithm of the probability of each label: that it applies, or among the labels."""
    return -np.logaddexp(0, -_odds(likely)) if several else _normalised(likely[:, :-1])


def _odds(likely: Likely) -> Likely:
    yes, no = np.split(likely, 2, axis=1)
    odds: Likely = yes - no
    return odds


def _normalised(likely: Likely) -> Likely:
    normalised: Likely = likely - np.logaddexp.reduce(likely, axis=1, keepdims=True)
    return normalised


def load(
    path: Path, local: Local, *, device: str = "cpu", threads: int | None = None, packed: bool = True
) -> LocalModel:
    """The model at ``path``.

    Raises:
        DependencyMissing: the library that runs it is not installed.
        ProviderError: it cannot be loaded.
        DeviceUnavailable: it cannot run on ``device``.
    """
    if path.suffix == GGUF:
        with needs("running a file .gguf", "gguf"):
            from .gguf import Gguf
        return Gguf(path, device=device, threads=threads, packed=packed)
    with needs("running a language model", "local"):
        from .causal import Causal
    return Causal(path, dtype=local.dtype, device=device, threads=threads, packed=packed)


def open_local(bundle: Bundle, written: PromptFile, *, device: str, threads: int | None) -> Model:
    """The model of ``bundle``, which has facts of this form.

    Raises:
        BundleUnsupported: the language model is not there, or is another one.
        DependencyMissing, ProviderError, DeviceUnavailable: see :func:`load`.
    """
    facts = bundle.facts(LocalFacts)
    path = located(bundle.path, facts.local.model, facts.checksum)
    model = load(path, facts.local, device=device, threads=threads, packed=facts.packed)
    return calibrated(LocalScorer(facts, written, bundle.labels, bundle.manifest.task, model), bundle)
