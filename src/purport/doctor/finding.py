"""A finding: a defect of the data, its rows, why it matters, what to do, and what it costs."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from ..frozen import Frozen


def count(number: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


Action = Literal["drop", "relabel", "rewrite"]


class Severity(StrEnum):
    """``error``: a measured number is wrong or a label cannot be learnt; ``warning``: it costs quality; ``info``."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the most severe."""
        return list(Severity).index(self)


class RowRef(Frozen):
    """One row: its split, its number in the file, what it says, and a word on why it is here."""

    split: str
    row: int
    text: str
    labels: tuple[str, ...]
    note: str = ""


class Worth(Frozen):
    """What a finding costs, as a share of rows decided wholly right (exact match), and how that was estimated.

    ``gain``: what fixing may bring; ``limit``: up to that much cannot be reached; ``inflation``: measured too high by.
    """

    kind: Literal["gain", "limit", "inflation"]
    value: float
    how: str


class Fix(Frozen):
    """One line of a plan. ``apply`` is the doctor's proposal; a person may change it."""

    apply: bool
    action: Action
    split: str
    row: int
    text: str
    labels: tuple[str, ...]
    new_text: str = ""
    new_labels: tuple[str, ...] = ()
    check: str
    why: str


class Finding(Frozen):
    """A defect. ``rows`` holds the first of the ``n_rows`` that have it; ``fixes`` all that can be proposed.

    ``quote`` is the wording that the rows share, where they share one.
    """

    check: str
    severity: Severity
    title: str
    why: str
    remedy: str
    n_rows: int
    quote: str = ""
    rows: tuple[RowRef, ...] = ()
    labels: tuple[str, ...] = ()
    worth: Worth | None = None
    fixes: tuple[Fix, ...] = ()


class Diagnosis(Frozen):
    """Everything that was found in one dataset; most severe and costly first.

    ``exact_match`` is that of the linear reference model, cross-validated on the training rows.
    ``plan_gain`` is its change on rows that the plan leaves alone, after the proposed fixes.
    """

    dataset: str
    fingerprint: str
    rows: dict[str, int]
    labels: int
    task: str
    bundle: str | None
    seed: int
    checks: tuple[str, ...]
    exact_match: float | None
    findings: tuple[Finding, ...]
    plan_gain: float | None = None
    plan_rows: int | None = None

    @property
    def worst(self) -> Severity | None:
        """The highest severity that was found."""
        return min((finding.severity for finding in self.findings), key=lambda severity: severity.rank, default=None)

    def without_texts(self) -> Diagnosis:
        """The same without a word of any utterance, for places where they may not go."""

        def bare(finding: Finding) -> Finding:
            rows = tuple(row.model_copy(update={"text": "", "note": ""}) for row in finding.rows)
            fixes = tuple(fix.model_copy(update={"text": "", "new_text": "", "why": ""}) for fix in finding.fixes)
            return finding.model_copy(update={"rows": rows, "fixes": fixes, "quote": ""})

        return self.model_copy(update={"findings": tuple(bare(finding) for finding in self.findings)})
