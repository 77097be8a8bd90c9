"""Findings: a defect of the data, the rows affected, why it matters, what to do, and what it costs."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from ..frozen import Frozen
from ..wording import count as count

Action = Literal["drop", "relabel", "rewrite", "merge"]


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

    ``gain``: measured after the fix, negative if it loses; ``bound``: no fix can gain more; ``limit``: no model can
    reach this much; ``inflation``: metrics are this much too high. ``value`` is a share of rows, or ``None`` if it
    cannot be estimated, for the reason in ``how``. ``interval`` is the 95 % interval of a gain.
    """

    kind: Literal["gain", "bound", "limit", "inflation"]
    value: float | None
    how: str
    interval: tuple[float, float] | None = None

    @property
    def in_words(self) -> str:
        """The effect in points, for example ``fixing may gain 1.20 points (95 %: +0.80 to +1.60)``."""
        if self.value is None:
            return f"cannot be estimated: {self.how}"
        points = f"{abs(self.value) * 100:.2f} points"
        if self.kind == "gain":
            return self._gain(points)
        if points == "0.00 points" or self.value < 0:
            return f"no effect measured: {self.how}"
        if self.kind == "bound":
            return f"fixing may gain at most {points}"
        return f"up to {points} cannot be reached" if self.kind == "limit" else f"metrics are {points} too high"

    def _gain(self, points: str) -> str:
        assert self.value is not None
        low, high = self.interval or (self.value, self.value)
        within = f" (95 %: {low * 100:+.2f} to {high * 100:+.2f})" if self.interval else ""
        if low > 0:
            return f"fixing may gain {points}{within}"
        if high < 0:
            return f"not proposed: the fix was measured to lose {points}{within}"
        return f"no clear effect: {self.value * 100:+.2f} points{within}"

    @property
    def loses(self) -> bool:
        """Whether the fix was measured to lose: its whole interval is below zero."""
        return self.kind == "gain" and self.interval is not None and self.interval[1] < 0


class Fix(Frozen):
    """One line of a fix plan. ``apply`` is the doctor's proposal, which the reviewer may change.

    A ``merge`` has no row: it renames ``labels`` to the one in ``new_labels`` in every row of every split.
    """

    apply: bool
    action: Action
    split: str = ""
    row: int = 0
    text: str = ""
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

    @property
    def price(self) -> float:
        """The effect as a share of rows; 0 if there is none, none that is clear, or none that can be estimated."""
        if self.worth is None or self.worth.value is None:
            return 0.0
        low = self.worth.interval[0] if self.worth.interval else self.worth.value
        return max(self.worth.value, 0.0) if low > 0 else 0.0


class Diagnosis(Frozen):
    """All findings in one dataset, most severe and costly first.

    ``exact_match`` belongs to the linear reference model, cross-validated on the training rows. ``plan_gain`` is how
    much the proposed fixes change it on the rows that the plan does not touch, with a 95 % interval.
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
    plan_interval: tuple[float, float] | None = None
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
