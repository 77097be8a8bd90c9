"""An evaluation as table rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..wording import DASH
from .evaluate import Evaluation
from .resampling import Estimate


def metric_rows(evaluation: Evaluation) -> Iterator[tuple[str, str, str]]:
    """Name, value and interval of each metric."""
    for name, estimate in evaluation.metrics.items():
        yield name, number(estimate.value), interval(estimate)


MAIN = (
    "accuracy", "subset_accuracy", "precision_micro", "recall_micro", "f1_micro", "f1_macro",
    "out_of_scope_precision", "out_of_scope_recall", "decided_calibration_error",
)  # fmt: skip
"""The metrics that a person needs first; the others are for those who know that they need them."""


def number(value: float | None, decimals: int = 4) -> str:
    """``value`` with so many decimals, or a dash for an undefined metric."""
    return DASH if value is None else f"{value:.{decimals}f}"


def interval(estimate: Estimate) -> str:
    """``low to high``, or a dash."""
    return DASH if estimate.low is None else f"{number(estimate.low)} to {number(estimate.high)}"


def cells(estimate: Estimate) -> tuple[float | None, str]:
    """Value and interval, for the tables of a page."""
    return estimate.value, interval(estimate)


def joined(labels: Collection[str]) -> str:
    """A label set as the text of one cell."""
    return " + ".join(labels) or "none"
