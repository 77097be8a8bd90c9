"""Checks a bundle's promise on new rows: whether it is kept, and whether the rows are like those it was fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstwobign

from ..bundle import Bundle
from ..classifier import Classifier
from ..data.dataset import Split
from ..data.reading import Example
from ..errors import BundleError
from ..frozen import Frozen
from ..model import BoolArray
from ..progress import SILENT, Reporter
from ..promise import Promised, ScoreCounts, WrittenTerm
from ..wording import count, percent
from .bounds import exact_interval, rows_needed
from .evaluate import answer
from .judged import Judged
from .resampling import LEVEL
from .sentences import share_said
from .traffic import Traffic, traffic_of

UNLIKELY = 0.01
"""A shift is reported if chance explains it with less than this probability."""
Verdict = Literal["held", "broken", "too few rows to tell"]


class TermCheck(Frozen):
    """One promise on new rows: ``hits`` of ``n``, and the exact 95 % interval of that share.

    ``broken``: the interval excludes what is promised. ``held``: the share keeps it, and there are rows enough for a
    bound, had it been met without exception.
    """

    promise: WrittenTerm
    hits: int
    n: int
    value: float | None
    low: float
    high: float
    verdict: Verdict

    @classmethod
    def of(cls, promise: WrittenTerm, hits: int, n: int) -> TermCheck:
        """Judge ``hits`` of ``n``."""
        low, high = exact_interval(hits, n, LEVEL)
        level, value = promise.level, hits / n if n else None
        if low > level if promise.at_most else high < level:
            verdict: Verdict = "broken"
        else:
            kept = value is not None and (value <= level if promise.at_most else value >= level)
            enough = n >= rows_needed(level if promise.at_most else 1 - level, LEVEL)
            verdict = "held" if kept and enough else "too few rows to tell"
        return cls(promise=promise, hits=hits, n=n, value=value, low=low, high=high, verdict=verdict)

    def __str__(self) -> str:
        what = {"wrong_accepted": "answers are wrong", "answered": "rows with a label are answered",
                "oos_accepted": "rows out of scope are answered"}[self.promise.measure]  # fmt: skip
        spread = f"{percent(self.value)}, 95 % interval {percent(self.low)} to {percent(self.high)}"
        return f"{self.promise}: {self.verdict}; {self.hits:,} of {self.n:,} {what} ({spread})"


class Shift(Frozen):
    """The distance between the distributions of the acceptance scores of two sets of rows, and its p-value.

    Kolmogorov-Smirnov's test for two samples (asymptotic), at the edges that the bundle keeps, which makes it cautious.
    ``what`` says which rows they are of, and how many.
    """

    distance: float
    p_value: float
    what: str = ""

    @property
    def found(self) -> bool:
        """Whether chance does not explain it."""
        return self.p_value < UNLIKELY


class Verification(Frozen):
    """A promise on new rows; ``share`` is that of rows out of scope, ``seen`` the number of calibration rows here."""

    bundle: str
    dataset: str
    split: str
    fingerprint: str
    n: int
    out_of_scope: int
    seen: int
    promise: Promised
    terms: tuple[TermCheck, ...]
    shift: Shift
    traffic: Traffic | None = None

    @property
    def broken(self) -> bool:
        """Whether these rows exclude that a promise is kept."""
        return any(each.verdict == "broken" for each in self.terms)

    @property
    def within(self) -> bool:
        """Whether the share of rows out of scope is one that the promise is made for, but for chance."""
        return self.promise.meets(*exact_interval(self.out_of_scope, self.n, LEVEL))


def promise_of(bundle: Bundle) -> Promised:
    """What ``bundle`` promises.

    Raises:
        BundleError: nothing.
    """
    if bundle.manifest.promise is None:
        raise BundleError(
            f"{bundle.path} promises nothing; train it with a promise, for example "
            '--set decide.promise="wrong_accepted <= 0.05"'
        )
    return bundle.manifest.promise


def verify(
    classifier: Classifier, split: Split, *, dataset: str = "", seen: int = 0, traffic: Traffic | None = None,
    reporter: Reporter = SILENT,
) -> Verification:  # fmt: skip
    """Check what the bundle of ``classifier`` promises on the rows of ``split``; nothing is fitted.

    Raises:
        BundleError: it promises nothing.
        DataError: the split has no rows, or cannot be read.
    """
    promised = promise_of(classifier.bundle)
    answered = answer(classifier, split, reporter)
    rows = Judged.of(answered.answers, answered.outcome.gold, classifier.bundle.manifest.decision)
    given = rows.above(promised.accept_at)
    pairs: dict[str, tuple[BoolArray, BoolArray]] = {
        "wrong_accepted": (rows.wrong, given),
        "oos_accepted": (given, ~rows.inside),
        "answered": (given, rows.inside),
    }
    terms = []
    for kept in promised.terms:
        hit, among = pairs[kept.promise.measure]
        terms.append(TermCheck.of(kept.promise, int((hit & among).sum()), int(among.sum())))
    return Verification(
        bundle=classifier.bundle.manifest.id,
        dataset=dataset,
        split=split.name,
        fingerprint=split.fingerprint,
        n=len(answered.examples),
        out_of_scope=int((~rows.inside).sum()),
        seen=seen,
        promise=promised,
        terms=tuple(terms),
        shift=_shift(rows, promised.scores),
        traffic=traffic,
    )


def score_traffic(classifier: Classifier, texts: Sequence[str], name: str, reporter: Reporter = SILENT) -> Traffic:
    """What the acceptance scores of unlabelled ``texts`` say of the share that is out of scope.

    Raises:
        BundleError: the bundle promises nothing, so that there are no scores to compare with.
    """
    promised, decision = promise_of(classifier.bundle), classifier.bundle.manifest.decision
    examples = [Example(text=text, labels=()) for text in texts]
    answered = answer(classifier, Split(name, examples.__iter__), reporter, "classifying traffic")
    rows = Judged.of(answered.answers, answered.outcome.gold, decision)
    return traffic_of(name, rows.score.astype(np.float64), promised.scores)


def _shift(rows: Judged, before: ScoreCounts) -> Shift:
    """The less likely of the shifts of the rows with a label and of those without, so that their numbers do not matter.

    Its p-value is corrected for two tests.
    """
    found = []
    groups = ((rows.inside, before.inside, "with a label"), (~rows.inside, before.outside, "without a label"))
    for mask, counts, which in groups:
        here, then = int(mask.sum()), counts[-1]
        if here and then:
            distance = ks_distance(rows.score[mask].astype(np.float64), counts, before.edges)
            p_value = float(kstwobign.sf(distance * np.sqrt(here * then / (here + then))))
            found.append((distance, p_value, f"{count(here, 'row')} {which}"))
    distance, p_value, what = min(found, key=lambda each: each[1], default=(0.0, 1.0, ""))
    p_value = min(1.0, p_value * max(1, len(found)))
    return Shift(distance=round(distance, 6), p_value=round(p_value, 6), what=what)


def ks_distance(scores: NDArray[np.float64], counts: Sequence[int], edges: Sequence[float]) -> float:
    """The largest difference at ``edges`` of the shares of ``scores (n,)`` and of counted rows that are below."""
    below = np.searchsorted(np.sort(scores), np.array(edges), "left") / len(scores)
    return float(np.abs(below - np.array(counts[:-1]) / counts[-1]).max(initial=0.0))


def verification_lines(found: Verification) -> Iterator[str]:
    """What the command says: each promise, shift, shares, and what the promise assumes."""
    promised = found.promise
    for each in found.terms:
        yield str(each)
    strange = (
        f"{count(found.out_of_scope, 'row')} of {found.n:,} out of scope ({percent(found.out_of_scope / found.n)})"
    )
    yield f"{strange}; {share_said(promised)}" + ("" if found.within else ", which these rows are outside of")
    yield shift_said(found.shift, "these rows")
    if found.traffic is not None:
        yield from found.traffic.lines(promised)
    yield promised.assumption


def shift_said(shift: Shift, what: str) -> str:
    """Whether the scores differ from those of the calibration rows."""
    of = f" of {shift.what}" if shift.what else ""
    numbers = f"Kolmogorov-Smirnov distance {shift.distance:.3f}{of}, p = {shift.p_value:.2g}"
    if shift.found:
        return (
            f"shift: the acceptance scores of {what} differ from those of the calibration rows ({numbers}), so what "
            "was assumed does not hold: train again with rows like these"
        )
    return f"no shift found: the acceptance scores of {what} are like those of the calibration rows ({numbers})"
