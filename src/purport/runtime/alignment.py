"""Where the characters of a normalised text come from."""

from __future__ import annotations

from typing import NamedTuple

from tokenizers import PreTokenizedString, Regex

from ..text import normalise, normalizer

_EACH = Regex(r"(?m:.)")
_NORMALIZER = normalizer()


class Aligned(NamedTuple):
    """A text made of another one, and for each of its characters the place there of the one that it was made of."""

    text: str
    places: list[int]


def aligned(text: str) -> Aligned:
    """:func:`~purport.text.normalise` of ``text``, which has no half of a surrogate pair, with places in ``text``."""
    if text.isascii():
        return Aligned(text, list(range(len(text))))
    given = PreTokenizedString(text)
    given.normalize(_NORMALIZER.normalize)
    given.split(lambda _, part: part.split(_EACH, "isolated"))
    parts = given.get_splits("original", "char")
    read = normalise(text)  # look-alike letters have become others, one by one
    places = [start for part, (start, _), _ in parts for _ in part]
    assert len(read) == len(places), "each normalised character has its place"
    return Aligned(read, places)
