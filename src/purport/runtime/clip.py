"""How much of a very long text is looked at, so that no text costs more than a model can read of it."""

from __future__ import annotations

MOST_CHARACTERS = 16_384
_TAIL = 4  # one part in four is the end of the text, as in TextReader


def most_characters(limit: int) -> int:
    """How many characters of a text are looked at by a model that reads ``limit`` tokens or characters."""
    return max(MOST_CHARACTERS, 2 * limit)


def clip(text: str, most: int, mark: int = 0) -> str:
    """``text``, or the beginning and the end of a longer one, ``most`` characters in all.

    With ``mark=1`` one character more is kept, in the middle: clipped again, it is the same as clipped at once, and is
    known to be cut.
    """
    if len(text) <= most + mark:
        return text
    tail = most // _TAIL
    return text[: most - tail + mark] + text[-tail:]
