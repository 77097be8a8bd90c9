"""Examples that say otherwise than a row, or an earlier lesson, with the same text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..data.reading import Example
from ..errors import ExamplesUnfit
from ..taught import TaughtExample
from ..text import normal_form
from ..wording import count
from .lesson import Lesson, named, shown

_MOST_SHOWN = 10
_REMEDY = (
    "Correct the example or the row. If the example is right, teach it with --force (force): it then replaces what was "
    "taught before, and rows with its text may become wrong"
)


def require_consistent(given: Lesson, rows: Mapping[str, Iterable[Example]], taught: Sequence[TaughtExample]) -> None:
    """Check that no text of ``given`` has other labels among ``rows`` (by split) or in what was ``taught``.

    Texts are the same if they differ at most in case, punctuation and white space.

    Raises:
        ExamplesUnfit: one has; the message names each example with the row.
    """
    found = list(_contradictions(given, rows, taught))
    if not found:
        return
    more = [f"  and {len(found) - _MOST_SHOWN:,} more"] if len(found) > _MOST_SHOWN else []
    said = [f"  {each}" for each in found[:_MOST_SHOWN]]
    title = f"{count(len(found), 'contradiction')} with what is known; nothing was taught"
    raise ExamplesUnfit("\n".join([title, *said, *more, _REMEDY]))


def _contradictions(
    given: Lesson, rows: Mapping[str, Iterable[Example]], taught: Sequence[TaughtExample]
) -> Iterator[str]:
    wanted = {
        normal_form(text): (number, text, labels)
        for number, (text, labels) in enumerate(zip(given.texts, given.gold, strict=True), start=1)
    }

    def said(form: str, labels: Iterable[str], where: str) -> Iterator[str]:
        number, text, new = wanted.get(form, (0, "", ()))
        if number and set(labels) != set(new):
            yield f"example {number} ({shown(text)}, {named(new)}): {where} says {named(sorted(labels))}"

    for split, examples in rows.items():
        for example in examples:
            yield from said(normal_form(example.text), example.labels, f"row {example.row} of {split}")
    latest = {normal_form(each.text): each for each in taught}  # of a text that was taught again, the last one counts
    for form, each in latest.items():
        yield from said(form, each.labels, "what was taught before")
