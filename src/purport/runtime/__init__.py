"""What answering needs, without any training library.

A *scorer* turns texts into logits. Kinds are registered in the entry-point group ``purport.scorers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scores:
    """``logits (n_texts, n_labels) float32`` and ``truncated (n_texts,) bool``: text longer than the model reads."""

    logits: FloatArray
    truncated: BoolArray


class Scorer(Protocol):
    """Turns texts into logits. The logits of a text never depend on the other texts of the call."""

    @classmethod
    def open(cls, bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> Scorer:
        """Load what ``bundle`` holds; ``threads`` defaults to one per core.

        Raises:
            DeviceUnavailable: ``device`` is not on this machine.
            BundleCorrupt: the model file cannot be loaded.
        """
        ...

    def score(self, texts: Sequence[str]) -> Scores:
        """Score ``texts``, in order."""
        ...
