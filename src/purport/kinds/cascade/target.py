"""What a cascade is for: targets, how they are written, and the thresholds that meet them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from ...errors import PromiseUnkept, RecipeError
from ...frozen import Frozen
from ...model import BoolArray, FloatArray
from ...promise import condition, level_of

Quantity = Literal["points_lost", "passed_on", "p95_ms", "cost"]
"""What a target is about.

``points_lost``: percentage points fewer rows exactly right than with the last stage alone.
``passed_on``: of the texts, the share that reaches the last stage.
``p95_ms``: milliseconds for 95 % of the texts.
``cost``: US dollars that services take for 1,000 texts.
"""
_QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
_EXAMPLE = "write, for example, points_lost <= 0.2"
_PER = re.compile(r"(?P<condition>.*\bcost\b[^a-z]*?)\s+per\s+(?P<texts>[1-9][\d,]*)\s*")
_THOUSAND = 1000  # texts, for which a cost is meant
_CUTS = 40  # per stage
_MOST = 60_000  # combinations of cuts


class Target(Frozen):
    """One condition, such as ``points_lost <= 0.2`` or ``cost <= 1 per 1000``."""

    quantity: Quantity
    level: Annotated[float, Field(ge=0, le=1e6)]

    @classmethod
    def parse(cls, text: str) -> Target:
        """The condition that ``text`` states.

        Raises:
            ValueError: it has another form or an unknown name, or its level is no number.
        """
        per = _PER.fullmatch(text)
        stated, texts = (per["condition"], int(per["texts"].replace(",", ""))) if per else (text, _THOUSAND)
        quantity, _, written = condition(stated, _QUANTITIES, "a target", "a target", _EXAMPLE, signs=["<="])
        level = level_of(written, _EXAMPLE) * (_THOUSAND / texts)
        if quantity == "passed_on" and level > 1:
            raise ValueError(f"{text}: a share is at most 1; write {level / 100:g} or {level:g}%")
        return cls(quantity=quantity, level=level)

    def __str__(self) -> str:
        return f"{self.quantity} <= {self.level:g}{_unit(self.quantity)}"


def _upwards(value: float) -> float:
    """``value`` with three digits, and no smaller: what is said to be met must be."""
    if value <= 0:
        return 0.0
    digits = 2 - math.floor(math.log10(value))
    return math.ceil(round(value * 10.0**digits, 6)) / 10.0**digits


def _unit(quantity: Quantity) -> str:
    return f" per {_THOUSAND}" if quantity == "cost" else ""


def _parsed(value: Any) -> Any:
    return Target.parse(value) if isinstance(value, str) else value


WrittenTarget = Annotated[
    Target, BeforeValidator(_parsed), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
"""A :class:`Target` that documents have as it is written."""
DEFAULT = Target(quantity="points_lost", level=0.2)


@dataclass(frozen=True)
class Tried:
    """What each of ``k`` stages, cheapest first, makes of ``n`` rows.

    Attributes:
        score: ``(k, n) float32``, how sure the stage is of its decision.
        right: ``(k, n) bool``, whether the decision is exactly right.
        ms: milliseconds that each stage takes for a text.
        usd: US dollars that each stage takes for a text; ``None`` if that is not known. Without any, nothing.
    """

    score: FloatArray
    right: BoolArray
    ms: Sequence[float]
    usd: Sequence[float | None] = ()

    def only(self, stages: Sequence[int]) -> Tried:
        """The same of these stages alone."""
        rows = list(stages)
        ms, usd = [self.ms[each] for each in rows], [self.usd[each] for each in rows] if self.usd else ()
        return Tried(self.score[rows], self.right[rows], ms, usd)


class Point(Frozen):
    """Stages that pass on what is below these scores, and what that gives on the rows.

    ``error`` is the standard error of ``points_lost``, whose rows are paired; ``cost`` is that of 1,000 texts in US
    dollars, as far as it is known.
    """

    pass_below: tuple[float, ...]
    right: float
    points_lost: float
    error: float
    passed_on: float
    mean_ms: float
    p95_ms: float
    cost: float = 0.0

    @property
    def against_the_last(self) -> str:
        """``0.20 points fewer`` than with the last stage alone, or so many more."""
        return f"{abs(self.points_lost):.2f} points {'more' if self.points_lost < 0 else 'fewer'}"


def choose(tried: Tried, targets: Sequence[Target]) -> tuple[Point, list[Point]]:
    """The scores below which stages pass on, and the best points of the curve, from the least to the most passed on.

    Of those that meet the ``targets``, it is the fastest on average if ``points_lost`` is among them, otherwise the one
    with most rows right. What is a mean over rows counts with a standard error more, and a cut as losing no fewer
    points than any higher cut: otherwise the choice would be the luckiest of many, and other rows would fare worse.

    Raises:
        PromiseUnkept: none meets them; the message has the nearest that can be met.
        RecipeError: cost is among them, and that of a stage is not known.
    """
    if None in tried.usd and any(target.quantity == "cost" for target in targets):
        raise RecipeError(
            f"the cost of stage {tried.usd.index(None) + 1} is not known, so that no target can be about it; train it "
            "with budget.input_price and budget.output_price"
        )
    most = min(_CUTS, int(_MOST ** (1 / (len(tried.score) - 1))) - 2)
    axes = [_cuts(score, most) for score in tried.score[:-1]]
    points, careful = [], []
    for cuts in product(*axes):
        outcome = _outcome(tried, cuts)
        points.append(_point(outcome))
        careful.append([_careful(outcome.lost), _careful(outcome.last), _careful(outcome.usd)])
    lost, passed_on, cost = np.array(careful).T
    shape = tuple(map(len, axes))
    lost = lost.reshape(shape)
    for axis in range(len(shape)):  # cuts ascend: from the highest one down, the most that was lost so far
        lost = np.flip(np.maximum.accumulate(np.flip(lost, axis), axis), axis)
    values = {
        "points_lost": lost.ravel(),
        "passed_on": passed_on,
        "p95_ms": np.array([point.p95_ms for point in points]),
        "cost": cost,
    }
    met = {target: values[target.quantity] <= target.level + 1e-9 for target in targets}
    fits = np.logical_and.reduce(list(met.values()))
    if not fits.any():
        raise PromiseUnkept(_nearest(values, met))
    sparing = any(target.quantity == "points_lost" for target in targets)
    key = [(point.mean_ms, -point.right) if sparing else (-point.right, point.mean_ms) for point in points]
    best = min(np.flatnonzero(fits).tolist(), key=key.__getitem__)
    return points[best], _frontier(points)


def _cuts(score: FloatArray, most: int) -> list[float]:
    """0 (nothing is passed on), then values midway between two scores, and one above all of them."""
    distinct = np.unique(score)
    middles = (distinct[:-1] + distinct[1:]) / 2
    middles = middles[middles > distinct[:-1]]  # between two adjacent float32 values there is no third
    if len(middles) > most:
        middles = middles[np.unique(np.linspace(0, len(middles) - 1, most).round().astype(int))]
    return [0.0, *map(float, middles), 2.0]


class _Outcome(NamedTuple):
    """What cuts give on each row.

    Attributes:
        right: whether its decision is exactly right.
        lost: percentage points lost: 100 if only the last stage alone would be right, -100 if only the cascade is.
        last: whether it reaches the last stage.
        ms: milliseconds.
        usd: US dollars for 1,000 such rows.
    """

    cuts: tuple[float, ...]
    right: BoolArray
    lost: NDArray[np.float64]
    last: BoolArray
    ms: NDArray[np.float64]
    usd: NDArray[np.float64]


def _outcome(tried: Tried, cuts: Sequence[float]) -> _Outcome:
    k, n = tried.score.shape
    here, right = np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    ms, usd, last = np.zeros(n), np.zeros(n), here
    for stage in range(k):
        ms[here] += tried.ms[stage]
        usd[here] += _THOUSAND * ((tried.usd[stage] if tried.usd else 0.0) or 0.0)
        settled = here if stage == k - 1 else here & (tried.score[stage] >= np.float32(cuts[stage]))
        right[settled] = tried.right[stage][settled]
        last, here = here, here & ~settled
    return _Outcome(tuple(cuts), right, 100 * (tried.right[-1].astype(float) - right), last, ms, usd)


def _point(found: _Outcome) -> Point:
    return Point(
        pass_below=found.cuts,
        right=float(found.right.mean()),
        points_lost=float(found.lost.mean()),
        error=_error(found.lost),
        passed_on=float(found.last.mean()),
        mean_ms=float(found.ms.mean()),
        p95_ms=float(np.quantile(found.ms, 0.95, method="higher")),
        cost=round(float(found.usd.mean()), 9),
    )


def _error(rows: NDArray[Any]) -> float:
    """The standard error of the mean of ``rows``."""
    return float(rows.std() / np.sqrt(len(rows)))


def _careful(rows: NDArray[Any]) -> float:
    """The mean of ``rows``, and a standard error more."""
    return float(rows.mean()) + _error(rows)


def _frontier(points: Sequence[Point]) -> list[Point]:
    """The points that get more rows right than every one that passes on less."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.passed_on, -point.right, point.mean_ms)):
        if not found or point.right > found[-1].right:
            found.append(point)
    return found


def _nearest(values: Mapping[str, NDArray[np.float64]], met: Mapping[Target, BoolArray]) -> str:
    """Which targets cannot be met together, and how near each can be met if the others are."""
    said = []
    for target in met:
        others = [fits for other, fits in met.items() if other != target]
        found = values[target.quantity]
        reachable = found[np.logical_and.reduce(others)] if others else found
        if len(reachable):
            with_others = " with the others" if others else ""
            said.append(
                f"{target.quantity} <= {_upwards(reachable.min()):g}{_unit(target.quantity)} can be met{with_others}"
            )
    wanted, nearest = " and ".join(map(str, met)), ", or ".join(said) or "no two of these can be met together"
    return f"on the validation rows no cascade of these stages has {wanted}; {nearest}"
