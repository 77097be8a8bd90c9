"""The central seam: what a bundle opens to turns texts into answers.

An *opener* makes a model of a bundle. Openers are registered in the entry-point group ``purport.models`` under the name
that the manifest gives: ``open_model(bundle, *, device, threads) -> Model``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answers to ``n`` texts.

    Attributes:
        probabilities: ``(n, n_labels) float32``, calibrated.
        in_scope: ``(n,) float32``, the probability that some label applies.
        truncated: ``(n,) bool``: the text is longer than the model reads.
        embedding: ``(n, width) float32`` of unit length, where the model has one.
        answered_by: the id of the bundle that answered each text, where parts of a bundle share the work.
    """

    probabilities: FloatArray
    in_scope: FloatArray
    truncated: BoolArray
    embedding: FloatArray | None = None
    answered_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long texts are: ``counts (n,) int64`` in ``unit``, of which the model reads ``limit``."""

    unit: str
    limit: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Traits:
    """What callers must know of a model before they ask it.

    Attributes:
        remote: answers come over the network.
        deterministic: the same text always gets the same answer.
        batch_invariant: an answer does not depend on the other texts of the call.
        max_batch: texts that one call may hold; ``None`` for any number.
        timeout_s: seconds after which a call is given up; ``None`` for never.
    """

    remote: bool = False
    deterministic: bool = True
    batch_invariant: bool = True
    max_batch: int | None = None
    timeout_s: float | None = None


class Model(Protocol):
    """What a bundle opens to. Safe to use from several threads."""

    @property
    def traits(self) -> Traits:
        """What callers must know before they ask."""
        ...

    def answer(self, texts: Sequence[str]) -> Answers:
        """Answer ``texts``, in order."""
        ...

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """How long ``texts`` are, in order, and how much of them is read."""
        ...
