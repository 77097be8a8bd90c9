"""Small pieces of what people read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

# What a terminal, a browser or an XML parser acts on instead of showing it: control characters (ECMA-48), marks that
# reverse the direction of what follows (UAX #9), lone surrogates. Direction marks around one character stay.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_LONGEST = 100  # characters of a name that others are compared with

DASH = "–"
"""Stands for a value that is not there or not defined."""


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 row``, ``2,000 rows``; ``plural`` defaults to ``noun`` with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def sentence(said: str) -> str:
    """``said`` with a capital letter and a full stop, for pages; the terminal prints it as it is."""
    return f"{said[:1].upper()}{said[1:]}{'' if said.endswith(('.', '?', '!')) else '.'}"


def percent(value: float | None, digits: int = 1) -> str:
    """``12.3 %``, or a dash."""
    return DASH if value is None else f"{value:.{digits}%}".replace("%", " %")


def printable(text: str) -> str:
    r"""``text`` with control characters as escapes such as ``\x1b``; tabs and line feeds stay."""
    return _CONTROL.sub(lambda found: _escape(found[0]), text)


def json_line(fields: Mapping[str, Any]) -> str:
    """``fields`` as one line of JSON in which control characters are escapes, so that a terminal can show it."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(fields, ensure_ascii=False, default=str))


def did_you_mean(name: str, known: Iterable[str], *, most: int = 1, otherwise: str | None = None) -> str:
    """`` Did you mean "x"?`` with the closest of ``known``, at most ``most``; or else the list of ``known``.

    ``otherwise`` takes the place of that list.
    """
    known = sorted(known)
    near = _near(name, known, most)
    if near:
        return f" Did you mean {' or '.join(json.dumps(each, ensure_ascii=False) for each in near)}?"
    if otherwise is not None:
        return otherwise
    return f" Known: {', '.join(known)}." if known else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """That of ``known`` which somebody who wrote ``name`` probably meant."""
    return next(iter(_near(name, sorted(known), 1)), None)


def _near(name: str, known: Sequence[str], most: int) -> list[str]:
    return [] if len(name) > _LONGEST else get_close_matches(name, known, n=most, cutoff=0.6)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
