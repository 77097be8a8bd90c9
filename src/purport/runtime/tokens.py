"""Texts to token ids: the same in training and in answering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tokenizers import Encoding, Tokenizer

from ..model import BoolArray, Counts, FloatArray
from .literal import read_literally
from .spelling import Spelling, Words

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

    def counts(self, texts: Sequence[str]) -> Counts:
        """The number of tokens of each text as it is, uncut: ``(n,) int64``."""
        tokenizer = Tokenizer.from_str(self._tokenizer.to_str())
        tokenizer.no_truncation()
        read_literally(tokenizer)
        return np.array([len(each.ids) for each in tokenizer.encode_batch_fast(list(texts))], dtype=np.int64)

    def _ids(self, encoding: Encoding) -> list[int]:
        ids: list[int] = encoding.ids
        if not encoding.overflowing or self._truncate == "head":
            return ids
        places = [at for at, is_special in enumerate(encoding.special_tokens_mask) if not is_special]
        # The last part alone may be shorter than the tail.
        parts = [encoding, *encoding.overflowing][-2:]
        last = [
            token
            for part in parts
            for token, is_special in zip(part.ids, part.special_tokens_mask, strict=True)
            if not is_special
        ]
        kept, size = list(ids), int(len(places) * _TAIL)
        for at, token in zip(places[len(places) - size :], last[len(last) - size :], strict=True):
            kept[at] = token
        return kept

    def _is_known(self, word: str) -> bool:
        ids = self._tokenizer.encode(word, add_special_tokens=False).ids
        return len(ids) == 1 and ids != self._unknown
