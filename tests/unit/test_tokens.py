"""Training and answering read a text alike: long ones at both ends, misspelt ones corrected."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from purport.runtime.spelling import Words
from purport.runtime.tokens import TextReader

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", *(f"w{n}" for n in range(100)), "card", "my"]


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    made.enable_padding(pad_id=3, length=50)  # as published ones have
    return made


def read(reader: TextReader, text: str) -> str:
    return " ".join(WORDS[token] for token in reader([text]).ids[0])


def long(n: int) -> str:
    return " ".join(f"w{i}" for i in range(n))


def test_the_head_alone() -> None:
    reader = TextReader(tokenizer(), 10)
    assert read(reader, long(30)) == "[CLS] w0 w1 w2 w3 w4 w5 w6 w7 [SEP]"


@pytest.mark.parametrize("n", [9, 10, 15, 16, 17, 30, 100])
def test_head_and_tail(n: int) -> None:
    reader = TextReader(tokenizer(), 10, truncate="head+tail")
    expected = "[CLS] w0 w1 w2 w3 w4 w5 " + f"w{n - 2} w{n - 1} [SEP]"
    assert read(reader, long(n)) == expected
    assert reader([long(n)]).truncated.tolist() == [True]


@pytest.mark.parametrize("truncate", ["head", "head+tail"])
def test_a_text_that_fits_is_read_as_it_is(truncate: str) -> None:
    reader = TextReader(tokenizer(), 10, truncate=truncate)  # type: ignore[arg-type]
    assert read(reader, long(8)) == "[CLS] " + long(8) + " [SEP]"
    assert not reader([long(8)]).truncated.any()


def test_lengths_are_those_of_the_text_before_it_is_cut() -> None:
    assert TextReader(tokenizer(), 10).counts([long(30), "w1"]).tolist() == [32, 3]


def test_misspelt_words_are_corrected_before_they_become_tokens() -> None:
    words = Words.of(["my card"] * 2)
    assert read(TextReader(tokenizer(), 10, words), "my crad") == "[CLS] my card [SEP]"
    assert read(TextReader(tokenizer(), 10), "my crad") == "[CLS] my [UNK] [SEP]"
