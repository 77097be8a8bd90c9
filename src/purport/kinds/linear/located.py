"""Which characters of a text its n-grams are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from ...runtime.alignment import Aligned, aligned
from ...text import cut, phrase
from .ngrams import WORD, Ngrams


class Located(NamedTuple):
    """An n-gram, and the places in the text, in characters, of what it is made of, one for each character or word."""

    term: str
    places: tuple[int, ...]


def located(ngrams: Ngrams, text: str) -> Iterator[Located]:
    """The n-grams that ``ngrams(text)`` gives, in any order, each with the places of its characters or words."""
    read = _read(ngrams, text)
    if ngrams.splitting == 1:
        read = _each(read, str.lower)
        words = [match.span() for match in WORD.finditer(read.text)]
        runs = [[word] for word in words]
    else:
        read = _each(_each(read, lambda letter: letter.replace("ı", "i")), str.casefold)
        read = _without_dots(read)
        words = cut(read.text)
        runs = [[word] for word in words] if read.text.isascii() else _runs(read.text, words)
    low, high = ngrams.words
    for size in range(max(low, 1), high + 1):
        for first in range(len(words) - size + 1):
            group = words[first : first + size]
            term = "w " + " ".join(read.text[start:end] for start, end in group)
            yield Located(term, tuple(read.places[start] for start, _ in group))
    for run in runs:
        yield from _characters(read, run, ngrams.characters)


def _characters(read: Aligned, run: list[tuple[int, int]], sizes: tuple[int, int]) -> Iterator[Located]:
    inside = [at for start, end in run for at in range(start, end)]
    letters = f" {''.join(read.text[at] for at in inside)} "
    places = [read.places[at] for at in inside]
    for size in range(max(sizes[0], 1), sizes[1] + 1):
        for start in range(len(letters) - size + 1):
            # The spaces around a run are no characters of the text.
            made_of = places[max(start - 1, 0) : start - 1 + size] or [places[0] if start == 0 else places[-1]]
            yield Located("c " + letters[start : start + size], tuple(made_of))


def _runs(text: str, words: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """``words`` joined where their script has no spaces."""
    found = [[word] for word in words[:1]]
    for left, right in pairwise(words):
        if " " in phrase([text[slice(*left)], text[slice(*right)]]):
            found.append([right])
        else:
            found[-1].append(right)
    return found


def _read(ngrams: Ngrams, text: str) -> Aligned:
    read = Aligned(text, list(range(len(text)))) if ngrams.splitting == 1 else aligned(text)
    return Aligned(read.text[: ngrams.max_characters], read.places)


def _each(read: Aligned, change: Callable[[str], str]) -> Aligned:
    changed = [change(letter) for letter in read.text]
    return Aligned("".join(changed), [place for new, place in zip(changed, read.places, strict=False) for _ in new])


def _without_dots(read: Aligned) -> Aligned:
    """``i`` with a second dot, which Turkish İ folds to, is ``i``."""
    kept = [at for at, letter in enumerate(read.text) if not (letter == "\u0307" and read.text[at - 1 : at] == "i")]
    return Aligned("".join(read.text[at] for at in kept), [read.places[at] for at in kept])
