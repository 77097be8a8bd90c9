"""The cache of answers, bounded in number and in bytes."""

from __future__ import annotations

from typing import Any

from cachetools import LRUCache

from .operations import Request, Result

_ENTRY_BYTES = 900
"""What an entry costs at most besides text and answer: objects around them and places in two dictionaries, measured."""
_CHARACTER_BYTES = 4


class AnswerCache:
    """The answers of all bundles of a server that were used last.

    Args:
        most: the largest number of answers.
        most_bytes: the largest size of them and their texts.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        # An entry is charged its size, or its share of all bytes if that is more: so one sum bounds both.
        self._share = max(1, most_bytes // most)
        self._kept: LRUCache[Any, tuple[Result, int]] = LRUCache(self._share * most, _charged)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, bundle: int, operation: str, request: Request) -> Result | None:
        """The answer of generation ``bundle``, if it is kept."""
        known = self._kept.get((bundle, operation, request))
        return None if known is None else known[0]

    def keep(self, bundle: int, operation: str, request: Request, result: Result) -> None:
        """Keep an answer, unless it is larger than the whole cache."""
        size = _ENTRY_BYTES + len(result.body) + _CHARACTER_BYTES * len(request.text)
        if size <= self._kept.maxsize:
            self._kept[bundle, operation, request] = result, max(size, self._share)


def _charged(kept: tuple[Result, int]) -> int:
    return kept[1]
