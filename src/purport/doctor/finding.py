"""Findings: a defect of the data, the rows affected, why it matters, what to do, and what it costs."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from ..frozen import Frozen
from ..wording import count as count

Action = Literal["drop", "relabel", "rewrite"]


class Severity(StrEnum):
    """``error``: metrics are wrong or a label cannot be learnt; ``warning``: it costs quality; ``info``: a note."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the most severe."""
        return list(Severity).index(self)


class RowRef(Frozen):
    """One row: its split, its number in the file, its text and labels, and a short note on why it is listed."""

    split: str
    row: int
    text: str
    labels: tuple[str, ...]
    note: str = ""


class Worth(Frozen):
    """The effect of a finding on exact match (the share of rows with exactly the right labels), and its method.

    ``gain``: fixing may gain this much; ``limit``: up to this much cannot be reached; ``inflation``: metrics are this
    much too high.
    """

    kind: Literal["gain", "limit", "inflation"]
    value: float
    how: str

    @property
    def in_words(self) -> str:
        """The effect in points, for example ``fixing may gain 1.20 points``."""
        points = f"{abs(self.value) * 100:.2f} points"
        if points == "0.00 points":
            return "none measurable"
        if self.kind == "gain":
            return f"fixing may {'lose' if self.value < 0 else 'gain'} {points}"
        return f"up to {points} cannot be reached" if self.kind == "limit" else f"metrics are {points} too high"


class Fix(Frozen):
    """One line of a fix plan. ``apply`` is the doctor's proposal, which the reviewer may change."""

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
    """A defect of the data. ``rows`` lists the first of the ``n_rows`` affected; ``fixes`` has every possible fix.

    ``quote`` is the wording that the rows share, if any.
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
    """All findings in one dataset, most severe and costly first.

    ``exact_match`` belongs to the linear reference model, cross-validated on the training rows. ``plan_gain`` is how
    much the proposed fixes change it on the rows that the plan does not touch.
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
        """The highest severity found."""
        return min((finding.severity for finding in self.findings), key=lambda severity: severity.rank, default=None)

    def without_texts(self) -> Diagnosis:
        """A copy without any text of an utterance, for places where texts must not appear."""

        def bare(finding: Finding) -> Finding:
            rows = tuple(row.model_copy(update={"text": "", "note": ""}) for row in finding.rows)
            fixes = tuple(fix.model_copy(update={"text": "", "new_text": "", "why": ""}) for fix in finding.fixes)
            return finding.model_copy(update={"rows": rows, "fixes": fixes, "quote": ""})

        return self.model_copy(update={"findings": tuple(bare(finding) for finding in self.findings)})
