"""What a comparison of two bundles found, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..frozen import Frozen
from ..wording import count
from .gates import Gate, check_gates
from .label_tests import SURE
from .resampling import Estimate
from .robustness import CLEAN, PERTURBATIONS

_MOST_NAMED = 10
_SHORT = 8  # digits of an id


class Difference(Frozen):
    """A metric of A and of B, and the difference B - A with its paired interval."""

    a: float | None
    b: float | None
    difference: Estimate


class LabelChange(Frozen):
    """One label: F1 of A and B, and the number of rows where B fixes or breaks its decision.

    ``p_value`` is that of :func:`~.label_tests.label_p_values`, corrected for the number of labels.
    """

    support: int
    f1: Difference
    fixed: int
    broken: int
    p_value: float = 1.0

    @property
    def shown(self) -> bool:
        """Whether chance alone does not explain the change."""
        return self.p_value < SURE


class ChangedRow(Frozen):
    """A row that A and B classify differently: ``broken``, ``fixed``, or ``changed`` (wrong in both)."""

    row: int
    text: str
    gold: tuple[str, ...]
    a: tuple[str, ...]
    b: tuple[str, ...]
    direction: str


class RobustnessChange(Frozen):
    """Exact match of A and B on the same perturbed texts, by perturbation; ``clean`` are the texts as they are.

    The ``n`` rows are drawn from the ``rows`` that are compared.
    """

    n: int
    rows: int
    exact_match: dict[str, Difference]


class Side(Frozen):
    """One of the two bundles: its id, and the name of its directory.

    ``median_ms`` is per text; the bundles take turns while they are timed.
    """

    bundle: str
    name: str = ""
    kind: str
    task: str
    bytes: int
    median_ms: float
    exact_match: float


class Comparison(Frozen):
    """The full comparison of A and B.

    ``mcnemar_p`` is the exact (binomial) p-value of the ``only_a_right`` and ``only_b_right`` rows (McNemar 1947).
    ``left_out`` counts rows that only one of the two has learned from. ``only_a_knows`` and ``only_b_knows`` are
    labels that one bundle knows alone, ``unknown`` those that neither knows,
    each with the number of rows that carry it. ``robustness`` is measured only on request.
    """

    a: Side
    b: Side
    dataset: str
    split: str
    fingerprint: str
    n: int
    left_out: int = 0
    resamples: int
    seed: int
    metrics: dict[str, Difference]
    labels: dict[str, LabelChange]
    only_a_knows: dict[str, int]
    only_b_knows: dict[str, int]
    unknown: dict[str, int]
    only_a_right: int
    only_b_right: int
    mcnemar_p: float
    flips: int
    rows: list[ChangedRow]
    verdict: str
    reason: str
    robustness: RobustnessChange | None = None
    gates: tuple[Gate, ...] = ()

    @property
    def names(self) -> tuple[str, str]:
        """What people call A and B: the names of their directories, with short ids where these are equal."""
        a, b = (side.name or side.bundle for side in (self.a, self.b))
        if a != b:
            return a, b
        return f"{a} ({self.a.bundle[:_SHORT]})", f"{b} ({self.b.bundle[:_SHORT]})"

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(gate.holds for gate in self.gates)

    def gated(self, conditions: str) -> Comparison:
        """A copy with its gates checked; without conditions there are none.

        Raises:
            GateInvalid: ``conditions`` cannot be parsed, or names what is not measured.
        """
        ends = [f"{name}{end}" for name in PERTURBATIONS for end in ("", ".low", ".high")]
        labels = {"label_f1": self.largest_fall()[0]}
        gates = check_gates(conditions, self.measured(), labels, on_request=ends)
        return self.model_copy(update={"gates": tuple(gates)})

    def without_texts(self) -> Comparison:
        """A copy without any utterance."""
        return self.model_copy(update={"rows": [row.model_copy(update={"text": ""}) for row in self.rows]})

    def most_changed(self, most: int) -> list[tuple[str, LabelChange]]:
        """The labels that changed, the surest and largest changes first."""
        moved = [
            (name, change)
            for name, change in self.labels.items()
            if change.fixed or change.broken or change.f1.difference.value
        ]
        moved.sort(key=lambda item: (item[1].p_value, -abs(item[1].f1.difference.value or 0.0), item[0]))
        return moved[:most]

    def largest_fall(self) -> tuple[str, float]:
        """The label whose F1 falls most and not by chance, and the difference; ``("", 0.0)`` if none does.

        A label that only A knows cannot be decided any more: that is no chance, however few rows carry it.
        """
        falls = {
            name: change.f1.difference.value
            for name, change in self.labels.items()
            if change.f1.difference.value is not None and (change.shown or name in self.only_a_knows)
        }
        name = min(falls, key=lambda label: falls[label], default="")
        return (name, falls[name]) if name and falls[name] < 0 else ("", 0.0)

    def measured(self) -> dict[str, float | None]:
        """Values that gates can use: differences B - A (``.low`` and ``.high`` of their intervals), rates, ratios."""
        found: dict[str, float | None] = {}
        named = {**self.metrics, **{f"f1[{name}]": change.f1 for name, change in self.labels.items()}}
        if self.robustness is not None:
            named |= {name: change for name, change in self.robustness.exact_match.items() if name != CLEAN}
        for name, change in named.items():
            found[name] = change.difference.value
            found[f"{name}.low"], found[f"{name}.high"] = change.difference.low, change.difference.high
        return found | {
            "label_f1": self.largest_fall()[1],
            "lost_labels": len(self.only_a_knows),
            "new_labels": len(self.only_b_knows),
            "flips": self.flips / self.n,
            "regressions": self.only_a_right / self.n,
            "mcnemar_p": self.mcnemar_p,
            "size_ratio": self.b.bytes / self.a.bytes,
            "latency_ratio": self.b.median_ms / self.a.median_ms,
        }


def judge(exact: Estimate, only_a: int, only_b: int, p_value: float, n: int) -> tuple[str, str]:
    """``better``, ``worse`` or ``no difference shown``, and the reason. McNemar's exact test alone decides.

    The bootstrap interval of so few changed rows can exclude 0 where the exact test shows nothing; the reason says so.
    """
    low, high = exact.low or 0.0, exact.high or 0.0
    facts = (
        f"on {count(n, 'row')}, exact match changes by {_points(exact.value)} points (95 % interval: "
        f"{_points(exact.low)} to {_points(exact.high)} points); {count(only_b, 'row')} fixed, {only_a:,} broken"
    )
    decides = f"McNemar's exact test, which decides: p = {p_value:.3g}"
    if p_value < SURE:
        verdict = "better" if only_b > only_a else "worse"
        return verdict, f"B is {verdict}: {facts} ({decides})."
    reason = f"No difference is shown: {facts} ({decides})."
    if not only_a + only_b:
        # Of n rows none changed: the rate is below 1 - 0.05^(1/n) with 95 % confidence (Hanley & Lippman-Hand 1983).
        unseen = f"{100 * (1 - SURE ** (1 / n)):.2g}"
        return "no difference shown", (
            f"No difference is shown: on {count(n, 'row')}, no row is right with one bundle and wrong with the "
            f"other. A difference of up to {unseen} points can go unseen on so many rows."
        )
    if low > 0 or high < 0:
        changed = count(only_a + only_b, "row")
        return (
            "no difference shown",
            f"{reason} The interval excludes 0, but {changed} are too few to tell from chance.",
        )
    return "no difference shown", f"{reason} Changes outside this interval are unlikely."


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:+.2f}"


def labels_said(found: Comparison) -> Iterator[tuple[bool, str]]:
    """Labels that fell or rose beyond chance, and labels that not both bundles know; and whether each is a loss."""
    for name, change in found.labels.items():
        value = change.f1.difference.value
        if value and change.shown and name not in (*found.only_a_knows, *found.only_b_knows):
            yield (
                value < 0,
                f'"{name}" {"falls" if value < 0 else "rises"}: F1 {change.f1.a:.4f} → {change.f1.b:.4f} on '
                f"{count(change.support, 'row')}, more than by chance (p = {change.p_value:.2g}, corrected for "
                "the number of labels)",
            )
    if found.only_a_knows:
        yield True, f"only A knows {_named(found.only_a_knows)}; B cannot answer these"
    if found.only_b_knows:
        yield False, f"only B knows {_named(found.only_b_knows)}; A cannot answer these"
    if found.unknown:
        yield True, f"neither knows {_named(found.unknown)}; these count as errors of both"


def _named(labels: Mapping[str, int]) -> str:
    shown = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    words = [f'"{name}" ({count(rows, "row")})' for name, rows in shown[:_MOST_NAMED]]
    more = [f"{count(len(shown) - _MOST_NAMED, 'other')}"] if len(shown) > _MOST_NAMED else []
    return ", ".join([*words, *more])
