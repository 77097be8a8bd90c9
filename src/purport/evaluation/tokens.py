"""How long texts are for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ..bundle import Bundle, locate
from ..runtime.onnx import TOKENIZER_FILE

_DEFAULT = "atis"  # ships with the package; its tokenizer is that of the default encoder


@dataclass(frozen=True, slots=True)
class TokenLengths:
    """``lengths (n,)`` in ``unit``, of which the model of ``source`` reads ``limit``."""

    lengths: NDArray[np.int64]
    limit: int
    unit: str
    source: str

    @property
    def over(self) -> NDArray[np.bool_]:
        """Which texts are longer than the limit."""
        return self.lengths > self.limit


def token_lengths(texts: Sequence[str], bundle: Bundle | None = None) -> TokenLengths:
    """Tokens of each text, special ones included, by the bundle's tokenizer (by default the shipped one's).

    A linear bundle has no tokens; its limit is in characters.
    """
    source = bundle or Bundle.open(locate(_DEFAULT))
    name = bundle.path.name if bundle else f"{_DEFAULT} (default)"
    if not (source.path / TOKENIZER_FILE).is_file():
        limit = int(source.manifest.model.get("ngrams", {}).get("max_characters", 2000))
        return TokenLengths(np.array([len(text) for text in texts], dtype=np.int64), limit, "characters", name)
    tokenizer = Tokenizer.from_file(str(source.path / TOKENIZER_FILE))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts))]
    return TokenLengths(np.array(lengths, dtype=np.int64), int(source.manifest.model["max_length"]), "tokens", name)
