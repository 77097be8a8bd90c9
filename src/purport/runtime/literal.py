"""Makes a tokenizer read what a person typed as text, even if it looks like one of its special tokens."""

from __future__ import annotations

import re

from tokenizers import Regex, Tokenizer
from tokenizers.pre_tokenizers import Sequence, Split


def read_literally(tokenizer: Tokenizer) -> None:
    """Make ``[SEP]`` or ``</s>`` inside a text stand for these characters, not for the special token.

    The library's own setting, which ``tokenizer.json`` does not hold, is not enough: a Unigram model, for one, has the
    special tokens among its pieces. Where a text would still become one, its first character is split from the rest.
    Other texts keep their tokens.
    """
    tokenizer.encode_special_tokens = True
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    found = [content for content in special if _is_one_token(tokenizer, content)]
    if found:
        starts = (f"{re.escape(content[0])}(?={re.escape(content[1:])})" for content in found)
        cut = Split(Regex("|".join(starts)), "isolated")
        before = tokenizer.pre_tokenizer
        tokenizer.pre_tokenizer = cut if before is None else Sequence([before, cut])


def _is_one_token(tokenizer: Tokenizer, content: str) -> bool:
    for text in (content, f"a{content}a", f"a {content} a"):
        encoding = tokenizer.encode(text, add_special_tokens=False)
        if any(text[start:end].strip() == content for start, end in encoding.offsets):
            return True
    return False
