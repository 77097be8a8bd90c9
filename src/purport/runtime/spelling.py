"""Corrects words that the encoder does not know, where a word of the training texts is one typing error away."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

from ..contents import is_there, loading, read_json
from ..text import normalise

WORDS_FILE = "words.json"
_WORD = re.compile(r"[^\W\d_]+")
_LEAST_LETTERS = 3
_LEAST_COUNT = 2
_LONGEST = 40
_REMEMBERED = 20_000
_LARGEST, _MOST_LETTERS = 2**25, 2**22  # bytes of the file; letters of its words, which are left out one by one


class Corrected(NamedTuple):
    """A text with its misspelt words corrected; which share of its words the training texts have."""

    text: str
    familiar: float


@dataclass(frozen=True)
class Words:
    """The words of the training texts, in lower case: how often each occurs, and the pairs of neighbours.

    Words and pairs that occur once are left out: they may be somebody's name, or misspelt themselves.
    """

    counts: Mapping[str, int]
    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """The words of ``texts``."""
        counts, pairs = Counter[str](), Counter[tuple[str, str]]()
        for text in texts:
            found = _WORD.findall(normalise(text).lower())
            counts.update(found)
            pairs.update(pairwise(found))
        return cls(
            {word: count for word, count in sorted(counts.items()) if count >= _LEAST_COUNT and len(word) <= _LONGEST},
            frozenset(pair for pair, count in pairs.items() if count >= _LEAST_COUNT),
        )

    def save(self, directory: Path) -> None:
        """Write the file that :meth:`load` reads."""
        document = {"counts": self.counts, "pairs": sorted(" ".join(pair) for pair in self.pairs)}
        (directory / WORDS_FILE).write_text(json.dumps(document, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """The words in ``directory``, or ``None`` for a bundle without them.

        Raises:
            BundleCorrupt: the file cannot be read.
        """
        if not is_there(directory, WORDS_FILE):
            return None
        document = read_json(directory, WORDS_FILE, _LARGEST)
        with loading(directory, WORDS_FILE):
            return cls._of_document(document["counts"], document["pairs"])

    @classmethod
    def _of_document(cls, counts: dict[object, object], pairs: list[str]) -> Self:
        words = {word: n for word, n in counts.items() if isinstance(word, str) and type(n) is int and n > 0}
        split = frozenset((left, right) for left, right in (pair.split(" ") for pair in pairs))
        if len(words) != len(counts) or any(len(word) > _LONGEST for word in words):
            raise ValueError("a word is too long, or has no count")
        if sum(map(len, words)) > _MOST_LETTERS:
            raise ValueError("there are too many words")
        return cls(words, split)


class Spelling:
    """Replaces a word that is neither in the training texts nor known to the encoder by the most frequent one near it.

    Near is a distance of one insertion, deletion, replacement or swap of neighbours (Damerau 1964). Candidates are the
    words that become the same when a letter is left out of one or both (Garbe 2012, SymSpell). Without any, a word that
    is two known neighbours without the space between them is split. Only scripts with small and capital letters are
    corrected.

    Args:
        words: those of the training texts.
        is_known: whether the encoder knows a word, in lower case, as a whole.
    """

    def __init__(self, words: Words, is_known: Callable[[str], bool]) -> None:
        self.words = words
        self._is_known = is_known
        self._shortened: dict[str, list[str]] = {}
        for word in words.counts:
            for part in {word, *_deletions(word)}:
                self._shortened.setdefault(part, []).append(word)
        self._replacement = lru_cache(_REMEMBERED)(self._find)

    def correct(self, text: str) -> Corrected:
        """``text`` with its misspelt words corrected."""
        text = normalise(text)
        counts, end, total, familiar = self.words.counts, 0, 0, 0
        parts: list[str] = []
        for match in _WORD.finditer(text):
            word = match[0].lower()
            total += 1
            if word in counts:
                familiar += 1
            elif _LEAST_LETTERS <= len(word) <= _LONGEST and (better := self._replacement(word)):
                parts += (text[end : match.start()], better)
                end, familiar = match.end(), familiar + 1
        share = familiar / total if total else 0.0
        return Corrected("".join((*parts, text[end:])) if parts else text, share)

    def changes(self, text: str) -> Iterator[tuple[int, int, str]]:
        """What :meth:`correct` replaces in ``text``, which is normalised: start, end, and what stands there then."""
        for match in _WORD.finditer(text):
            word = match[0].lower()
            new = word not in self.words.counts and _LEAST_LETTERS <= len(word) <= _LONGEST
            if new and (better := self._replacement(word)):
                yield match.start(), match.end(), better

    def _find(self, word: str) -> str | None:
        if word.upper() == word or self._is_known(word):
            return None
        found = {each for part in (word, *_deletions(word)) for each in self._shortened.get(part, ())}
        near = [each for each in found if len(each) > 1 and _one_error(word, each)]
        if near:
            return max(near, key=lambda each: (self.words.counts[each], each))
        return next(
            (f"{word[:at]} {word[at:]}" for at in range(1, len(word)) if (word[:at], word[at:]) in self.words.pairs),
            None,
        )


def _deletions(word: str) -> Iterator[str]:
    return (word[:at] + word[at + 1 :] for at in range(len(word)))


def _one_error(left: str, right: str) -> bool:
    """Whether a single insertion, deletion, replacement or swap of neighbours turns ``left`` into ``right``."""
    if len(left) > len(right):
        left, right = right, left
    at = next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), len(left))
    if len(left) < len(right):
        return len(left) + 1 == len(right) and left[at:] == right[at + 1 :]
    return left[at + 1 :] == right[at + 1 :] or (
        left[at : at + 2] == right[at : at + 2][::-1] and left[at + 2 :] == right[at + 2 :]
    )
