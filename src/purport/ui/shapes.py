"""What an entry of a queue must have so that a page can show it: a file in the directory may be damaged, or made up."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ValidationError

from ..doctor.finding import Fix
from ..errors import QueueInvalid
from .ledger import Entry, Ledger
from .picking import Why


class _Example(BaseModel):
    text: str
    labels: list[str]


class _Text(BaseModel):
    """The content of an entry of a review queue, see :mod:`purport.ui.gathering`."""

    text: str
    where: str
    labels: list[str] | None
    why: Why
    reason: str | None
    decided: list[str]
    in_scope: float | None
    ranked: list[tuple[str, float]]
    other: list[str] | None
    examples: list[_Example]


class _Decision(BaseModel):
    labels: list[str] = []


def require_texts(ledger: Ledger, entries: Iterable[Entry]) -> None:
    """Check that ``entries`` are those of a review queue.

    Raises:
        QueueInvalid: one is damaged.
    """
    _require(ledger, _Text, entries)


def require_fixes(ledger: Ledger, entries: Iterable[Entry]) -> None:
    """Check that ``entries`` are those of a fix plan.

    Raises:
        QueueInvalid: one is damaged.
    """
    _require(ledger, Fix, entries)


def _require(ledger: Ledger, shape: type[BaseModel], entries: Iterable[Entry]) -> None:
    for each in entries:
        try:
            shape.model_validate(each.content)
            _Decision.model_validate(each.state or {})
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise QueueInvalid(f"{ledger.path}: entry {each.id} is damaged ({where}); create it again") from None
