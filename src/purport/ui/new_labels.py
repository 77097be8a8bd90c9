"""Labels that a person makes while reviewing: a topic that no label of the model covers."""

from __future__ import annotations

from collections.abc import Iterable

from ..data.formats.encoded import is_utf8
from ..errors import OptionInvalid, did_you_mean
from .edits import meant
from .ledger import Ledger

_LONGEST = 100


def known_labels(ledger: Ledger) -> list[str]:
    """The labels that a text of the queue can get, in alphabetical order: those of the model and of the file, and those
    that somebody made for another text. One that no text has any more is gone."""
    return sorted({*ledger.about["labels"], *ledger.given_labels()})


def first_unknown(ledger: Ledger, labels: Iterable[str], new: Iterable[str]) -> str | None:
    """The first of the ``labels`` that is neither known nor confirmed to be ``new``.

    Raises:
        OptionInvalid: a new one cannot be a label.
    """
    known, confirmed = set(known_labels(ledger)), set(new)
    for label in (meant(each, known) for each in labels):
        if label not in known:
            if label not in confirmed:
                return label
            if (
                label != label.strip()
                or not 0 < len(label) <= _LONGEST
                or not label.isprintable()
                or not is_utf8(label)
            ):
                raise OptionInvalid(f"A new label is one line of at most {_LONGEST} characters; choose another name.")
    return None


def is_unknown(ledger: Ledger, label: str) -> OptionInvalid:
    """What is said of a label that nobody confirmed."""
    hint = did_you_mean(label, known_labels(ledger))
    return OptionInvalid(f'There is no label "{label}".{hint} If it is meant as a new one, confirm it in "new".')
