"""Very long texts: what is looked at, wherever it is cut first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purport import Bundle, Classifier
from purport.errors import PurportError
from purport.runtime.clip import MOST_CHARACTERS, clip, most_characters


@given(st.text(max_size=60), st.integers(4, 40))
def test_a_text_cut_before_it_is_sent_is_cut_alike_afterwards(text: str, most: int) -> None:
    sent = clip(text, most, mark=1)
    assert len(sent) == min(len(text), most + 1)
    assert clip(sent, most) == clip(text, most)
    assert (len(sent) > most) == (len(text) > most), "it is still known to be cut"


def test_beginning_and_end_are_kept() -> None:
    text = "a" * 100 + "b" * 100
    assert clip(text, 100) == "a" * 75 + "b" * 25
    assert clip("short", 100) == "short"


def test_more_is_looked_at_than_any_model_reads() -> None:
    assert most_characters(64) == MOST_CHARACTERS and most_characters(50_000) == 100_000


def test_the_answer_says_that_a_long_text_was_cut(linear_bundle: Bundle) -> None:
    classifier = Classifier.open(linear_bundle)
    spaces = "where is my parcel" + " " * 2 * MOST_CHARACTERS  # all that counts is read, and yet it was cut
    answers = classifier.answer([spaces, "where is my parcel"])
    assert answers.truncated.tolist() == [True, False]
    assert np.allclose(*answers.probabilities)


@pytest.mark.parametrize("name", ["probabilities", "in_scope", "embedding", "evidence"])
def test_what_is_not_a_number_is_never_an_answer(linear_bundle: Bundle, name: str) -> None:
    classifier = Classifier.open(linear_bundle)
    honest = classifier.model.answer

    class Broken:
        def answer(self, texts: list[str]) -> object:
            answers = honest(texts)
            return replace(answers, **{name: getattr(answers, name) * np.nan})

    classifier.model = Broken()  # type: ignore[assignment]
    with pytest.raises(PurportError, match="not finite"):
        classifier.predict(["where is my parcel"])
