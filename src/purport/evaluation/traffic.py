"""How much of unlabelled traffic is out of scope, from the acceptance scores alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..frozen import Frozen
from ..promise import Promised, ScoreCounts
from ..wording import percent
from .resampling import LEVEL, rounded
from .sentences import share_said

_STEPS = 200
_RESAMPLES = 500
_BINS = 10
"""Of many, most hold next to no rows out of scope, and what is added to each would be most of what is counted."""
_ADDED = 1.0  # row, to all bins together, so that no score is impossible

Shares = NDArray[np.float64]


class Traffic(Frozen):
    """``n`` unlabelled messages: the estimated ``share`` that is out of scope, with its 95 % interval.

    Without calibration rows that are out of scope, ``share`` and ``high`` are ``None``, and ``low`` is a lower bound.
    """

    name: str
    n: int
    share: float | None
    low: float
    high: float | None

    def within(self, promised: Promised) -> bool:
        """Whether the interval meets the shares that the promise is made for."""
        return promised.meets(self.low, 1.0 if self.high is None else self.high)

    def lines(self, promised: Promised) -> Iterator[str]:
        """What was found, and what to do if it is outside of what is promised."""
        if self.share is None or self.high is None:
            said = f"at least {percent(self.low)} of {self.n:,} messages are unlike the calibration rows"
        else:
            spread = f"{percent(self.low)} to {percent(self.high)}"
            said = (
                f"about {percent(self.share)} of {self.n:,} messages are out of scope (95 % interval {spread}); this "
                "estimate holds only if messages in scope score like the calibration rows in scope, and the others "
                "like those out of scope"
            )
        yield f"{self.name}: {said}; {share_said(promised)}"
        if not self.within(promised):
            most = np.ceil(100 * (self.high if self.high is not None else self.low)) / 100
            rows = (
                "" if promised.out_of_scope_rows else ' and messages without a label (data.unlabelled = "out_of_scope")'
            )
            yield f"this is outside of it: train again with decide.out_of_scope_share = [0, {most:g}]{rows}"


def traffic_of(name: str, scores: NDArray[np.float64], counts: ScoreCounts, *, seed: int = 0) -> Traffic:
    """The traffic whose messages have these acceptance ``scores (n,)``, against the ``counts`` of calibration rows.

    The share is the most likely one if the traffic mixes messages in scope and out of scope like the calibration rows
    (EM, Saerens, Latinne & Decaestecker 2002); the interval is a percentile bootstrap of all three counts. Without rows
    out of scope, the lower bound is that of the mixture proportion (Blanchard, Lee & Scott 2010): how many more
    messages have low scores than rows in scope do, less what chance explains (Massart 1990).
    """
    below = [*np.searchsorted(np.sort(scores), np.array(counts.edges), "left").tolist(), len(scores)]
    here, inside, outside = (np.diff(part, prepend=0) for part in (below, counts.inside, counts.outside))
    if not outside.sum():
        return Traffic(name=name, n=len(scores), share=None, low=rounded(_least(below, counts.inside)), high=None)
    here, inside, outside = _coarse(here, inside, outside)
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(part.sum(), part / part.sum(), _RESAMPLES) for part in (here, inside, outside)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(mixed_share(*drawn), [tail, 1 - tail])
    share = float(mixed_share(here[None], inside[None], outside[None])[0])
    return Traffic(name=name, n=len(scores), share=rounded(share), low=rounded(low), high=rounded(high))


def _coarse(*parts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The same counts in few bins, each with as many calibration rows: ``parts`` are the traffic, then these rows."""
    reached = np.cumsum(parts[1] + parts[2])
    place = np.clip(np.ceil(reached * _BINS / reached[-1]) - 1, 0, None).astype(np.intp)
    return [np.bincount(place, weights=part, minlength=_BINS).astype(np.int64) for part in parts]


def mixed_share(here: NDArray[np.int64], inside: NDArray[np.int64], outside: NDArray[np.int64]) -> Shares:
    """The share of ``outside`` in ``here``, each ``(n_resamples, n_bins)``: ``(n_resamples,)``."""
    likely_in, likely_out = (
        (part + _ADDED / part.shape[1]) / (part.sum(axis=1, keepdims=True) + _ADDED) for part in (inside, outside)
    )
    share = np.full((len(here), 1), 0.5)
    for _ in range(_STEPS):
        odd = share * likely_out
        share = (here * odd / (odd + (1 - share) * likely_in)).sum(axis=1, keepdims=True) / here.sum(axis=1)[:, None]
    found: Shares = share[:, 0]
    return found


def _least(below: list[int], inside: tuple[int, ...]) -> float:
    """At least this share of the traffic is unlike rows in scope, with 95 % certainty."""
    here, then = np.array(below[:-1]) / max(below[-1], 1), np.array(inside[:-1]) / max(inside[-1], 1)
    chance = sum(np.sqrt(np.log(2 / (1 - LEVEL)) / (2 * max(n, 1))) for n in (below[-1], inside[-1]))
    known = np.minimum(then, 1 - 1e-9)
    return float(np.clip((here - then - chance) / (1 - known), 0, None).max(initial=0.0))
