"""What a typing error costs: misspelt words are corrected, and everything else is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purport.data.noise import typos
from purport.errors import BundleCorrupt
from purport.runtime.spelling import WORDS_FILE, Spelling, Words

TEXTS = ["My card has not arrived yet", "where is my card", "please cancel the order", "cancel my order, please"] * 2
KNOWN = frozenset({"cars", "order", "the"})


@pytest.fixture
def spelling() -> Spelling:
    return Spelling(Words.of(TEXTS), KNOWN.__contains__)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("where is my crad?", "where is my card?"),  # swapped
        ("where is my caard", "where is my card"),  # doubled
        ("pleae cancel", "please cancel"),  # missing
        ("plwase cancel", "please cancel"),  # beside the right key
        ("cancel myorder", "cancel my order"),  # lost space
        ("CANCLE it", "cancel it"),
        ("(crad)", "(card)"),
    ],
)
def test_a_typing_error_is_corrected(spelling: Spelling, typed: str, read: str) -> None:
    assert spelling.correct(typed).text == read


@pytest.mark.parametrize(
    "text",
    [
        "Where is My card",  # nothing to correct: case and spaces stay
        "my cars",  # a word that the encoder knows, although "card" is near
        "xylophone zzzz",  # nothing is near
        "a1b2c3 12345 😀  ok",
        "мой заказ",  # no word of the training texts is near
        "注文をキャンセル",  # a script without capital letters
        "",
    ],
)
def test_other_texts_stay_as_they_are(spelling: Spelling, text: str) -> None:
    assert spelling.correct(text).text == text


def test_it_says_how_many_words_are_familiar(spelling: Spelling) -> None:
    assert spelling.correct("my crad").familiar == 1
    assert spelling.correct("my xylophone").familiar == 0.5
    assert spelling.correct("12345").familiar == 0


def test_a_word_of_a_single_training_text_is_not_kept() -> None:
    words = Words.of([*TEXTS, "my name is Wilhelmina"])
    assert "wilhelmina" not in words.counts and "card" in words.counts


def test_a_word_that_stands_between_two_is_the_more_frequent_one() -> None:
    words = Words.of(["the form"] * 2 + ["the firm"] * 5)
    assert Spelling(words, KNOWN.__contains__).correct("the frm").text == "the firm"


def test_words_can_be_saved_and_loaded(tmp_path: pytest.TempPathFactory) -> None:
    words = Words.of([*TEXTS, "größe straße größe straße"])
    words.save(tmp_path)
    assert Words.load(tmp_path) == words
    (tmp_path / WORDS_FILE).write_text('{"counts": 3}')
    with pytest.raises(BundleCorrupt, match=WORDS_FILE):
        Words.load(tmp_path)


def test_most_typing_errors_are_undone(spelling: Spelling) -> None:
    spelling = Spelling(Words.of(TEXTS), lambda word: False)
    rows = [(text, typos(text, 1, np.random.default_rng(seed))) for seed in range(50) for text in TEXTS[:4]]
    wrong = [(text, typed) for text, typed in rows if typed != text]
    undone = sum(spelling.correct(typed).text.lower() == text.lower() for text, typed in wrong)
    assert undone > 0.7 * len(wrong)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    corrected = Spelling(Words.of(TEXTS), KNOWN.__contains__).correct(text)
    assert 0 <= corrected.familiar <= 1
