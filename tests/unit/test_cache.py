"""The cache of answers never holds more than it may, in number and in memory, however long texts and answers are."""

from __future__ import annotations

import tracemalloc

import pytest

from purport.prediction import AnswerOptions
from purport.serving.cache import AnswerCache
from purport.serving.operations import CLASSIFY, INTENT, Request, Result


def keep(cache: AnswerCache, text: str, body: bytes = b"{}", bundle: int = 1) -> None:
    cache.keep(bundle, CLASSIFY, Request(text, INTENT), Result(body))


def has(cache: AnswerCache, text: str, bundle: int = 1) -> bool:
    return cache.get(bundle, CLASSIFY, Request(text, INTENT)) is not None


def test_what_was_used_last_is_kept() -> None:
    cache = AnswerCache(2, 10**6)
    keep(cache, "a", b"1")
    keep(cache, "b", b"2")
    assert cache.get(1, CLASSIFY, Request("a", INTENT)) == Result(b"1")
    keep(cache, "c", b"3")
    assert [has(cache, text) for text in "abc"] == [True, False, True] and len(cache) == 2


def test_another_bundle_operation_or_option_is_another_answer() -> None:
    cache = AnswerCache(10, 10**6)
    keep(cache, "a")
    assert has(cache, "a") and not has(cache, "a", bundle=2)
    assert cache.get(1, "explain", Request("a", INTENT)) is None
    assert cache.get(1, CLASSIFY, Request("a", AnswerOptions(top_k=5))) is None


@pytest.mark.parametrize(("characters", "answer"), [(1024, 200), (20, 40_000), (20, 200), (1024, 40_000)])
def test_memory_is_bounded_whatever_is_asked(characters: int, answer: int) -> None:
    tracemalloc.start()
    try:
        cache = AnswerCache(100_000, 2_000_000)
        for number in range(5_000):
            # Nothing is shared between entries, as with answers that come from a worker; and not in Latin letters.
            text = f"{number:05}".ljust(characters, "\N{EURO SIGN}")
            headers = ((f"header-{number}".encode(), b"true"),)
            result = Result(f"{number:05}".encode().ljust(answer, b"x"), headers)
            cache.keep(1, CLASSIFY, Request(text, AnswerOptions()), result)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 2_000_000, f"{len(cache)} entries"
    assert len(cache) >= 2_000_000 // (1_500 + 4 * characters + answer), "it is not charged far too much either"


def test_an_answer_larger_than_the_cache_is_not_kept_and_takes_no_others_place() -> None:
    cache = AnswerCache(10, 5_000)
    keep(cache, "a")
    keep(cache, "huge", b"x" * 6_000)
    assert has(cache, "a") and not has(cache, "huge")
