"""Texts to token ids: the same in training and in answering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from tokenizers import Encoding, Tokenizer

from ..model import BoolArray, Counts, FloatArray
from .alignment import Aligned, aligned
from .literal import read_literally
from .spelling import Spelling, Words

T = TypeVar("T")
Truncate = Literal["head", "head+tail"]
_NO_CHARACTER = "\ue000"  # for private use: no tokenizer knows it
_TAIL = 0.25  # share of the tokens of a long text that are its last ones


@dataclass(frozen=True)
class Read:
    """``n`` texts as token ids; whether each was ``truncated (n,)``; the share of ``familiar (n,)`` words."""

    ids: list[list[int]]
    truncated: BoolArray
    familiar: FloatArray


class TextReader:
    """Corrects misspelt words, makes tokens of texts and cuts long ones.

    Args:
        tokenizer: a tokenizer of its own; its padding and truncation are replaced.
        limit: largest number of tokens, special tokens included.
        words: the words of the training texts, or ``None``: nothing is corrected.
        truncate: ``head`` keeps the first tokens of a long text; ``head+tail`` keeps three quarters at its beginning
            and a quarter at its end, where e-mails say what they want.
    """

    def __init__(
        self, tokenizer: Tokenizer, limit: int, words: Words | None = None, truncate: Truncate = "head"
    ) -> None:
        self.pad_id: int = (tokenizer.padding or {}).get("pad_id", 0)
        self.limit = limit
        tokenizer.no_padding()
        tokenizer.enable_truncation(limit)
        read_literally(tokenizer)
        self._tokenizer = tokenizer
        self._unknown = tokenizer.encode(_NO_CHARACTER, add_special_tokens=False).ids
        self._truncate = truncate
        self.spelling = None if words is None else Spelling(words, self._is_known)

    def __call__(self, texts: Sequence[str]) -> Read:
        """Read ``texts``, in order."""
        familiar = np.ones(len(texts), dtype=np.float32)
        if self.spelling is not None:
            corrected = [self.spelling.correct(text) for text in texts]
            texts = [each.text for each in corrected]
            familiar[:] = [each.familiar for each in corrected]
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        truncated = np.array([bool(encoding.overflowing) for encoding in encodings], dtype=np.bool_)
        return Read([self._ids(encoding) for encoding in encodings], truncated, familiar)

    def located(self, text: str) -> list[tuple[int, int | None]]:
        """The token ids of ``text``, each with the place in it, in characters, that it ends with; special ones without.

        The ids are those that the reader gives for the text.
        """
        read = aligned(text) if self.spelling is not None else Aligned(text, list(range(len(text))))
        if self.spelling is not None:
            read = _corrected(read, self.spelling)
        encoding = self._tokenizer.encode(read.text)
        ids, spans = self._cut(encoding, lambda part: part.ids), self._cut(encoding, lambda part: part.offsets)
        return [
            (token, read.places[end - 1] if end > start else None)
            for token, (start, end) in zip(ids, spans, strict=True)
        ]

    def token(self, name: str) -> int | None:
        """The id of a token such as ``[MASK]``, if the tokenizer has it."""
        found: int | None = self._tokenizer.token_to_id(name)
        return found

    def counts(self, texts: Sequence[str]) -> Counts:
        """The number of tokens of each text as it is, uncut: ``(n,) int64``."""
        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        tokenizer.no_truncation()
        read_literally(tokenizer)
        return np.array([len(each.ids) for each in tokenizer.encode_batch_fast(list(texts))], dtype=np.int64)

    def _ids(self, encoding: Encoding) -> list[int]:
        return self._cut(encoding, lambda part: part.ids)

    def _cut(self, encoding: Encoding, of: Callable[[Encoding], list[T]]) -> list[T]:
        """What ``of`` gives for each token that is read."""
        ids = of(encoding)
        if not encoding.overflowing or self._truncate == "head":
            return ids
        places = [at for at, is_special in enumerate(encoding.special_tokens_mask) if not is_special]
        # The last part alone may be shorter than the tail.
        parts = [encoding, *encoding.overflowing][-2:]
        last = [
            token
            for part in parts
            for token, is_special in zip(of(part), part.special_tokens_mask, strict=True)
            if not is_special
        ]
        kept, size = list(ids), int(len(places) * _TAIL)
        for at, token in zip(places[len(places) - size :], last[len(last) - size :], strict=True):
            kept[at] = token
        return kept

    def _is_known(self, word: str) -> bool:
        ids = self._tokenizer.encode(word, add_special_tokens=False).ids
        return len(ids) == 1 and ids != self._unknown


def _corrected(read: Aligned, spelling: Spelling) -> Aligned:
    """``read`` with its misspelt words corrected; a correction stands where the word begins."""
    parts: list[str] = []
    places: list[int] = []
    end = 0
    for start, after, better in spelling.changes(read.text):
        parts += (read.text[end:start], better)
        places += [*read.places[end:start], *([read.places[start]] * len(better))]
        end = after
    return Aligned("".join((*parts, read.text[end:])), [*places, *read.places[end:]])
