"""An opened bundle."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import numpy as np

from . import registry
from .bundle import Bundle
from .contents import loading
from .errors import BundleUnsupported, MemoryMissing, ProviderError, PurportError
from .explaining.explain import explain
from .explaining.explanation import Explanation
from .labels import LabelSet, Task
from .model import Answers, Batching, BoolArray, FloatArray, Keeping, Lengths, Model
from .prediction import Prediction, Reason, ScoredLabel, SimilarExample
from .progress import SILENT, Reporter
from .runtime.calibration import Calibrated
from .runtime.clip import clip, most_characters
from .runtime.decision import DEFAULT_THRESHOLD, Decided, decide
from .runtime.memory import Memory
from .runtime.scope import weakest
from .runtime.similar import similar
from .signature import PublicKeys

_TRIED = ("a text", "a text that is longer than the first one")
_MOSTLY = 0.5  # weight from which on a taught example is what decides


class Classifier:
    """A model, with the decision rule of its bundle. Safe to use from several threads.

    >>> classifier = Classifier.open("atis")
    >>> classifier.predict(["flights from boston to denver and what they cost"])[0].labels
    ('flight', 'airfare')
    """

    def __init__(self, bundle: Bundle, model: Model) -> None:
        self.bundle = bundle
        self.model = model
        self.labels: LabelSet = bundle.labels
        self.task: Task = bundle.manifest.task

    @classmethod
    def open(
        cls, ref: str | os.PathLike[str] | Bundle, *, device: str = "cpu", threads: int | None = None,
        signed_by: PublicKeys | None = None,
    ) -> Classifier:  # fmt: skip
        """Open the bundle in directory ``ref``, or the shipped bundle of that name.

        ``signed_by`` are the keys by one of which it must be signed; a ``Bundle`` was checked when it was opened.

        Raises:
            BundleError: it does not exist, was changed, is not signed, or needs an opener that is not installed.
            DeviceUnavailable: ``device`` (``cpu`` or ``cuda``) is not available on this machine.
        """
        bundle = ref if isinstance(ref, Bundle) else Bundle.open(ref, signed_by=signed_by)
        open_model = registry.load("models", bundle.manifest.opener, BundleUnsupported)
        with loading(bundle.path, "the model"):
            classifier = cls(bundle, open_model(bundle, device=device, threads=threads))
            classifier._try_out()
        if isinstance(ref, Bundle) or bundle.is_current:
            return classifier
        # The bundle was replaced after its files were verified, so that some may have been loaded from the new one.
        return cls.open(Bundle.open(ref, signed_by=signed_by), device=device, threads=threads)

    def predict_proba(self, texts: Sequence[str]) -> FloatArray:
        """Calibrated probabilities ``(n_texts, n_labels) float32`` in the order of ``labels``."""
        return self.answer(texts).probabilities

    def predict(
        self, texts: Sequence[str], *, threshold: float | None = None, top_k: int | None = None, examples: int = 0
    ) -> list[Prediction]:
        """One prediction per text, in order.

        ``threshold`` overrides the bundle's thresholds: multilabel decides every label whose probability reaches it,
        multiclass decides the most likely label if its probability reaches it. ``top_k`` limits ``ranked``.
        ``examples`` is the number of most similar examples that come with each prediction.

        Raises:
            MemoryMissing: ``examples`` are asked for, and the bundle does not remember any.
        """
        answers, n = self.answer(texts), len(texts)
        return self.predictions(answers, [threshold] * n, [top_k] * n, [examples] * n)

    def answer(self, texts: Sequence[str]) -> Answers:
        """The model's answers, as arrays. Of very long texts, the beginning and the end are looked at (:mod:`.clip`).

        Raises:
            TypeError: ``texts`` is a single string, or contains something that is not a string.
            PurportError: a number in them is not finite.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError("texts must be a list of strings")
        most = most_characters(self.bundle.manifest.model.limit)
        long = [len(text) > most for text in texts]
        if any(long):
            answers = self.model.answer(self._clipped(texts))
            answers = replace(answers, truncated=answers.truncated | np.array(long))
        else:
            answers = self.model.answer(texts)
        given = (answers.probabilities, answers.in_scope, answers.embedding, answers.evidence)
        # A sum of squares is finite if all of these numbers are, which are small; faster than to look at each.
        if not all(values is None or isfinite(np.vdot(values, values)) for values in given):
            raise PurportError(f"{self.bundle.path}: a number of the model's answer is not finite")
        return answers

    def prefetch(self, texts: Sequence[str], reporter: Reporter = SILENT) -> None:
        """Ask the bundle's service about ``texts`` in a batch and wait for it; :meth:`answer` then has the replies.

        Raises:
            ProviderError: the bundle asks no service, or one that takes no batches, or the service fails.
            BudgetSpent: the batch could cost more than the budget has left.
        """
        model = self._asking
        if not isinstance(model, Batching):
            raise ProviderError(
                f"{self.bundle.path} (kind {self.bundle.manifest.kind}) asks no service by itself, so that there is "
                "nothing to send as a batch; leave out --batch, or name a bundle of kind llm"
            )
        model.prefetch(self._clipped(texts), reporter)

    def has(self, texts: Sequence[str]) -> BoolArray:
        """``(n,) bool``: whether :meth:`answer` asks no service about a text (any more)."""
        model = self._asking
        if isinstance(model, Keeping):
            return model.has(self._clipped(texts))
        return np.full(len(texts), not self.model.traits.remote)

    @property
    def _asking(self) -> object:
        """What asks a service, if the bundle has such a thing."""
        return self.model.scorer if isinstance(self.model, Calibrated) else self.model

    def _clipped(self, texts: Sequence[str]) -> list[str]:
        """``texts`` as the model gets them."""
        most = most_characters(self.bundle.manifest.model.limit)
        return [clip(text, most) for text in texts]

    def nearest(self, answers: Answers, k: int) -> list[tuple[SimilarExample, ...]]:
        """The ``k`` most similar examples that the bundle learned from, for each of the ``answers``, nearest first.

        Raises:
            MemoryMissing: the bundle does not remember any.
        """
        model, memory = self.remembering()
        if answers.embedding is None:  # there is no text
            return [()] * len(answers.probabilities)
        return similar(answers.embedding, k, memory, model.taught, self.labels.names)

    def explain(
        self, text: str, *, label: str | None = None, method: str | None = None, calls: int | None = None,
        examples: int = 2,
    ) -> Explanation:  # fmt: skip
        """Why ``label`` is as probable for ``text`` as it is, word by word.

        ``label`` is any label of the bundle; by default it is the most probable one of those decided, or of all if
        none is. ``method`` is ``occlusion``, ``shapley``, ``contributions`` (the default for kind ``linear``),
        ``integrated_gradients`` or one that is registered in ``purport.explainers``. ``calls`` is the largest number of
        texts that the model is asked; by default that of the method, and 16 of a model that asks a service.
        ``examples`` is the number of training examples for, and of those against.

        Raises:
            TextEmpty, TextInvalid: ``text`` cannot be explained.
            LabelUnknown: the bundle has no such label.
            MethodUnfit: there is no such method, or it does not fit the bundle.
            DependencyMissing: the method needs packages that are not installed.
        """
        return explain(self, text, label=label, method=method, calls=calls, examples=examples)

    def _try_out(self) -> None:
        """Check that two texts get answers of the form that the manifest promises.

        Raises:
            ValueError: they do not.
            Exception: that of the model.
        """
        if self.model.traits.remote:  # asking costs money
            return
        n, n_labels = len(_TRIED), len(self.labels)
        answers = self.answer(_TRIED)
        for values, shape in ((answers.probabilities, (n, n_labels)), (answers.in_scope, (n,))):
            if values.shape != shape or not ((values >= 0) & (values <= 1)).all():
                raise ValueError(f"its answers are not {shape} probabilities")
        remembers = isinstance(self.model, Calibrated) and self.model.memory is not None
        self.predictions(answers, [None] * n, [1] * n, [int(remembers)] * n)

    def remembering(self) -> tuple[Calibrated, Memory]:
        """The model, if it remembers the examples that it was trained with, and its memory of them.

        Raises:
            MemoryMissing: it does not.
        """
        if isinstance(self.model, Calibrated) and self.model.memory is not None:
            return self.model, self.model.memory
        if self.bundle.manifest.parts:
            raise MemoryMissing(
                f"{self.bundle.path} is made of other bundles; teach one of these by itself, and build this one again"
            )
        raise MemoryMissing(
            f"{self.bundle.path} (kind {self.bundle.manifest.kind}) does not remember its training examples, so that "
            "it cannot show or be taught any; train it again with this version, as a kind that makes vectors of texts, "
            "such as encoder"
        )

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """The lengths of ``texts``, and the limit that the model reads."""
        return self.model.lengths(texts)

    def decide(self, answers: Answers, threshold: float | None = None) -> Decided:
        """The decided labels of ``answers``; for ``threshold`` see :meth:`predict`."""
        decision = self.bundle.manifest.decision
        decision = decision if threshold is None else decision.at(threshold)
        return decide(answers.probabilities, decision, answers.in_scope)

    def predictions(
        self,
        answers: Answers,
        thresholds: Sequence[float | None],
        tops: Sequence[int | None],
        examples: Sequence[int] = (),
    ) -> list[Prediction]:
        """``answers`` as predictions, each with its own threshold and its own numbers of ranked labels and examples."""
        probabilities, names = answers.probabilities, self.labels.names
        labels = self.decide(answers).labels
        for threshold in {each for each in thresholds if each is not None}:
            own = [row for row, each in enumerate(thresholds) if each == threshold]
            labels[own] = self.decide(answers, threshold).labels[own]
        order = (-probabilities).argsort(axis=1, kind="stable")
        best = order[:, : None if None in tops else max(filter(None, tops), default=0)]
        confidences = probabilities[np.arange(len(best))[:, None], best].tolist()
        decided: list[list[int]] = [[] for _ in thresholds]
        rows, found = labels.nonzero()
        for row, index in zip(rows.tolist(), found.tolist(), strict=True):
            decided[row].append(index)
        truncated, bundle = answers.truncated.tolist(), self.bundle.manifest.id
        in_scope, why = answers.in_scope.tolist(), self._reasons(answers, decided, thresholds)
        most = max(examples, default=0)
        near = self.nearest(answers, most) if most else [()] * len(labels)
        return [
            Prediction(
                labels=tuple(
                    [names[i] for i in sorted(decided[row], key=probabilities[row].__getitem__, reverse=True)]
                ),
                ranked=tuple(map(ScoredLabel, [names[index] for index in indices[:top_k]], confidences[row])),
                out_of_scope=not decided[row],
                in_scope=in_scope[row],
                reason=why[row],
                truncated=truncated[row],
                bundle=answers.answered_by[row] if answers.answered_by else bundle,
                examples=near[row][: examples[row]] if most else (),
            )
            for row, (indices, top_k) in enumerate(zip(best.tolist(), tops, strict=True))
        ]

    def _reasons(
        self, answers: Answers, decided: Sequence[Sequence[int]], thresholds: Sequence[float | None]
    ) -> list[Reason | None]:
        """Why no label is decided, for each row of ``decided`` without one."""
        decision, none = self.bundle.manifest.decision, [row for row, labels in enumerate(decided) if not labels]
        found: list[Reason | None] = [None] * len(decided)
        if not none:
            return found
        # A promise rejects by one score; in_scope says then whether the text or its label is in doubt.
        doubtful = max(decision.in_scope_at, DEFAULT_THRESHOLD if decision.accept_at else 0.0)
        below, evident = answers.in_scope < np.float32(doubtful), answers.evident
        held: BoolArray = np.zeros(len(decided), dtype=np.bool_)
        if decision.accept_at:
            freely = decision.model_copy(update={"accept_at": 0.0})
            held = ~decide(answers.probabilities, freely, answers.in_scope).out_of_scope
        for row in none:
            if answers.taught is not None and answers.taught[row] < -_MOSTLY:
                found[row] = "taught"
            elif answers.evidence is not None and evident[row] and below[row]:
                found[row] = weakest(answers.evidence[row])
            else:
                found[row] = "below_promise" if held[row] and thresholds[row] is None else "no_label_decided"
        return found
