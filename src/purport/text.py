"""How texts are normalised and split into words, the same everywhere (docs/decisions/0018)."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from tokenizers import Regex, normalizers
from tokenizers.pre_tokenizers import Split

# Characters that are replaced before anything else; NFKC would make ´ a space and an accent.
_REPLACED = {
    "'": "\u2018\u2019\u02bc\u00b4\u1ffd",  # apostrophes: phones write ’ where keyboards write '
    " ": "\u200b",  # the zero-width space separates words in Thai and Khmer
    # Invisible, and no part of a word: soft hyphen, direction marks, word joiners, emoji or text style. The zero-width
    # joiner and non-joiner stay, because they make another emoji and, in Persian, another word.
    "": "\u00ad\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069"
    "\ufe0e\ufe0f\ufeff",
}
# Thai and Lao write some vowels before or after the consonant that they belong to.
_BEFORE, _AFTER = "\u0e40-\u0e44\u0ec0-\u0ec4", "\u0e30\u0e32\u0e33\u0e45\u0eb0\u0eb2\u0eb3"
# In the mode y{w}, \X is one segment of UAX #29. A sign of a name or a number stays with it: C++, C#, .NET, -5.
_SEGMENT = (
    rf"(?y{{w}})(?!\s)(?:(?<!\S)(?:\.(?=[\p{{L}}\p{{N}}])|-(?=\p{{N}})))?"
    rf"[{_BEFORE}]*\X[{_AFTER}]*(?:\+\+|[+#](?![\p{{L}}\p{{N}}+#]))?"
)
_REMEMBERED = 64  # characters
_SPLITTER = Split(Regex(_SEGMENT), "removed", invert=True)
_PIECE = re.compile("[.':,]|[^.':,]+")
# Punctuation that is more than punctuation: 50%, R&D, *100#, and/or, @name.
_SIGNS = frozenset("#%&*/@\\§‰")
# Scripts without spaces: Thai, Lao, Burmese, Khmer, kana and Chinese characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_STARTS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_GAP = re.compile(f"(?<=[{_UNSPACED}]) (?=[{_UNSPACED}])")
# Greek and Cyrillic letters that look like a Latin one (UTS #39, confusables), and words in which both stand.
_ALIKE = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаԁеһіјӏорԛѕѵԝухΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ", "ABESIJKMHOPCTYXadehijlopqsvwyxABEZHIKMNOPTYXovp"
)
_CYRILLIC = str.maketrans("ABCEHIKMOPTXYaceiopxy", "АВСЕНІКМОРТХУасеіорху")
_OTHER = "\u0370-\u052f"
_MIXED = re.compile(rf"[^\W\d_]*(?:[A-Za-z][{_OTHER}]|[{_OTHER}][A-Za-z])[^\W\d_]*")


def normalizer() -> normalizers.Normalizer:
    """:func:`normalise` as a part of ``tokenizer.json``."""
    replaced = [normalizers.Replace(Regex(f"[{olds}]"), new) for new, olds in _REPLACED.items()]
    return normalizers.Sequence([*replaced, normalizers.NFKC()])


_NORMALIZER = normalizer()


def normalise(text: str) -> str:
    """``text`` in the form in which models read it: NFKC (UAX #15), plain apostrophes, no invisible characters.

    Composed and decomposed accents, full-width letters, ligatures and Arabic presentation forms become the same, and a
    word of Latin or of Cyrillic letters has none that only look so.
    """
    if text.isascii():
        return text
    try:
        return _MIXED.sub(_of_one_script, _NORMALIZER.normalize_str(text))
    except UnicodeEncodeError:  # a lone surrogate, which is no character
        return normalise(text.encode("utf-8", "replace").decode())


def _of_one_script(word: re.Match[str]) -> str:
    """``word`` in Latin letters, or else in Cyrillic ones, if all its letters look like these; otherwise as it is."""
    latin, cyrillic = word[0].translate(_ALIKE), word[0].translate(_CYRILLIC)
    if not re.search(f"[{_OTHER}]", latin):
        return latin
    return cyrillic if not re.search("[A-Za-z]", cyrillic) else word[0]


def segments(text: str) -> list[str]:
    """The words and punctuation marks of ``text`` by UAX #29, normalised and case-folded, without white space.

    A word keeps its marks, and an emoji its parts. In scripts without spaces, a character with its marks is a word.
    """
    # Turkish İ folds to i with a second dot.
    folded = normalise(text).casefold().replace("i\u0307", "i")
    return [segment for segment, _ in _SPLITTER.pre_tokenize_str(folded)]


def spans(text: str) -> list[tuple[int, int]]:
    """Where the words and punctuation marks of ``text`` as it is begin and end, in characters, in order.

    They are cut as :func:`segments` are. Marks that follow each other without a space are one, and what is invisible
    and stands alone is none.
    """
    found: list[tuple[int, int]] = []
    marks = False  # whether the last one is made of marks
    for segment, (start, end) in _SPLITTER.pre_tokenize_str(text):
        if not normalise(segment).strip():
            continue
        before, marks = marks, not _is_word(segment)
        if before and marks and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return found


def cut(folded: str) -> list[tuple[int, int]]:
    """Where the :func:`pieces` of a text that is normalised and case-folded already begin and end in it."""
    return [
        (start + piece.start(), start + piece.end())
        for segment, (start, _) in _SPLITTER.pre_tokenize_str(folded)
        for piece in _PIECE.finditer(segment)
    ]


def pieces(text: str) -> list[str]:
    """The :func:`segments` of ``text`` cut at apostrophes and points: what models count.

    So ``what's`` has something in common with ``what is``, and Turkish ``istanbul'da`` with ``istanbul``.
    """
    return [piece for segment in segments(text) for piece in _PIECE.findall(segment)]


def words(text: str) -> list[str]:
    """The :func:`segments` of ``text`` without punctuation; symbols (``+``, ``$``, ``%``) and emoji are words."""
    # Interned, because a table of texts has the same words again and again.
    return [sys.intern(segment) for segment in segments(text) if _is_word(segment)]


def normal_form(text: str) -> str:
    """``text`` without case, punctuation and differences in white space: equal for texts that say the same."""
    return " ".join(words(text)) or text.strip()


def mostly_unspaced(texts: Iterable[Sequence[str]]) -> bool:
    """Whether most words of ``texts`` are of scripts without spaces, where each character is a word of its own."""
    unspaced = spaced = 0
    for words in texts:
        found = sum(_STARTS_UNSPACED.match(word) is not None for word in words)
        unspaced, spaced = unspaced + found, spaced + len(words) - found
    return unspaced > spaced


def phrase(words: Iterable[str]) -> str:
    """``words`` in one string, with spaces where their script has spaces."""
    return _GAP.sub("", " ".join(words))


def _is_word(segment: str) -> bool:
    # What is longer is no word that comes again, and would fill the memory.
    return _counts(segment) if len(segment) <= _REMEMBERED else _counts.__wrapped__(segment)


@lru_cache(maxsize=100_000)
def _counts(segment: str) -> bool:
    # Everything else counts, such as emoji that are newer than the tables of this Python.
    return any(
        letter in _SIGNS or not (kind[0] in "PZ" or kind in ("Cc", "Cf", "Cs", "Sk"))
        for letter, kind in zip(segment, map(unicodedata.category, segment), strict=True)
    )
