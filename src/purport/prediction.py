"""What a classifier answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScoredLabel:
    """A label with its calibrated probability in [0, 1]."""

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one utterance.

    Attributes:
        labels: the decided labels, by falling confidence; empty when ``out_of_scope``.
        ranked: every label of the model with its probability, by falling confidence.
        out_of_scope: no label was decided.
        truncated: the text was longer than the model reads; the answer rests on its beginning.
        bundle: id of the bundle that answered.
    """

    labels: tuple[str, ...]
    ranked: tuple[ScoredLabel, ...]
    out_of_scope: bool
    truncated: bool
    bundle: str

    def top(self, k: int) -> tuple[ScoredLabel, ...]:
        """The ``k`` likeliest labels (fewer where the model has fewer)."""
        return self.ranked[:k]
