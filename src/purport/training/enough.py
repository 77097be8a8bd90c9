"""Whether there are enough rows to learn from, or for a promise, which is known before a model is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from ..errors import RowsTooFew
from ..evaluation.bounds import Accepted, rows_needed
from ..kinds.recipe import Decide
from ..promise import Term
from ..wording import count, percent

_NEARLY_ALL = 0.9  # share of rows with the same labels from which a model learns next to nothing else


def lopsided(gold: Iterable[Iterable[str]]) -> str | None:
    """A sentence if nearly all rows with the labels ``gold`` have the same ones, so that there is little to learn."""
    rows = Counter(map(frozenset, gold))
    (labels, number), *_ = rows.most_common(1)
    if number < _NEARLY_ALL * rows.total():
        return None
    have = " and ".join(f'the label "{label}"' for label in sorted(labels)) or "no label"
    return (
        f"{number:,} of {count(rows.total(), 'training row')} have {have}, so that the model learns little but to "
        "answer so; add rows with other labels"
    )


def require_rows(chosen: Decide, inside: int, outside: int) -> None:
    """Check that so many calibration rows with and without a label can keep the promises, if the model is perfect.

    Raises:
        RowsTooFew: they cannot; the message has the number of rows that can.
    """
    for term in chosen.promise:
        if term.measure == "wrong_accepted":
            _require_for_wrong(chosen, term, inside, outside)
            continue
        rows, what = (inside, "with a label") if term.measure == "answered" else (outside, "without a label")
        needed = rows_needed(term.level if term.at_most else 1 - term.level, certainty_of_each(chosen))
        if rows < needed:
            strange = term.measure == "oos_accepted"
            add = 'messages that no label covers (data.unlabelled = "out_of_scope")' if strange else "rows"
            raise _too_few(term, chosen, f"{needed:,} calibration rows {what}", rows, add)


def _require_for_wrong(chosen: Decide, term: Term, inside: int, outside: int) -> None:
    """The rows that ``wrong_accepted`` needs; if rows out of scope count, they keep their share."""
    worst, certainty = share_range(chosen, inside, outside)[1], certainty_of_each(chosen)
    if worst and not outside:
        raise RowsTooFew(
            f"decide.out_of_scope_share goes up to {worst:g}, but no calibration row is out of scope; add messages "
            'that no label covers (data.unlabelled = "out_of_scope"), or remove it'
        )
    rows = inside + outside if worst else inside

    def enough(n: int) -> bool:
        within = round(n * inside / rows) if worst else n
        return bool(Accepted(within, n - within, within, 0, 0).wrong_bound(worst, certainty) <= term.level)

    if not rows or not enough(rows):
        needed = _fewest(enough, rows)
        what = f"{needed:,} calibration rows with a label"
        if worst:
            what = f"{needed:,} calibration rows, {percent(outside / rows)} of them without a label"
        raise _too_few(term, chosen, what, rows, "rows")


def _fewest(enough: Callable[[int], bool], low: int) -> int:
    """The smallest number above ``low`` that is enough."""
    high = low + 1
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _too_few(term: Term, chosen: Decide, what: str, rows: int, add: str) -> RowsTooFew:
    return RowsTooFew(
        f"{term} ({term.meaning}) with certainty {chosen.certainty:g} needs at least {what}, even if the model makes "
        "no mistake; there "
        f"{'is' if rows == 1 else 'are'} {rows:,}. Add {add}, set more of them aside (data.calibration) if there are "
        "as many, or promise less"
    )


def share_range(chosen: Decide, inside: int, outside: int) -> tuple[float, float]:
    """The shares of texts out of scope that promises are made for: by default up to that of the calibration rows."""
    if chosen.out_of_scope_share is not None:
        return chosen.out_of_scope_share
    return 0.0, round(outside / max(1, inside + outside), 4)


def certainty_of_each(chosen: Decide) -> float:
    """The certainty of each search: upper and lower bounds, if there are both, divide the chance of an error."""
    sides = {term.at_most for term in chosen.promise}
    return 1 - (1 - chosen.certainty) / max(1, len(sides))
