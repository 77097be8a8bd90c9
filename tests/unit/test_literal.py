"""What a person types is text: nobody may end a text, pad it or mask it by typing what a tokenizer uses for that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, implementations, models, pre_tokenizers, trainers

from purport import Bundle, Classifier, Dataset
from purport.runtime.literal import read_literally

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def unigram(texts: list[str]) -> Tokenizer:
    """As of XLM-R and T5: the special tokens are among the pieces of the model, with the best score."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=500, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def word_piece(texts: list[str]) -> Tokenizer:
    """As of BERT."""
    tokenizer = implementations.BertWordPieceTokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=500, show_progress=False)
    return tokenizer._tokenizer


def word_piece_of_words(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def byte_pairs(texts: list[str]) -> Tokenizer:
    """As of RoBERTa."""
    tokenizer = implementations.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=500, special_tokens=SPECIAL, show_progress=False)
    return tokenizer._tokenizer


def whole_words(texts: list[str]) -> Tokenizer:
    """As of Llama 3, where a word of the vocabulary needs no merges."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", ignore_merges=True))
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@pytest.mark.parametrize("make", [unigram, word_piece, word_piece_of_words, byte_pairs, whole_words])
def test_special_tokens_in_a_text_are_text(make: Callable[[list[str]], Tokenizer], sample: Dataset) -> None:
    texts = list(sample["train"].texts)
    tokenizer = make(texts)
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    assert len(special) == 5
    before = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    read_literally(tokenizer)
    assert [encoding.ids for encoding in tokenizer.encode_batch(texts)] == before, "other texts keep their tokens"
    unknown = {content for content in special if "unk" in content.lower()}
    for content in special:
        for text in (content, f"my{content}order", f"my {content} order", content * 3):
            tokens = tokenizer.encode(text, add_special_tokens=False)
            spans = [text[start:end].strip() for start, end in tokens.offsets]
            assert content not in spans and not set(tokens.tokens) & (set(special) - unknown), (text, tokens.tokens)
    saved = Tokenizer.from_str(tokenizer.to_str())
    read_literally(saved)
    assert saved.pre_tokenizer is None or str(saved.pre_tokenizer) == str(tokenizer.pre_tokenizer), "it is done once"


def test_a_bundle_reads_special_tokens_as_text(encoder_bundle: Bundle) -> None:
    texts = ["where is my parcel", "where is [SEP] my [PAD] parcel", "where is [CLS] my [MASK] parcel"]
    alone = Tokenizer.from_file(str(Path(encoder_bundle.path, "tokenizer.json")))
    for bundle in (str(encoder_bundle.path), "atis"):
        classifier = Classifier.open(bundle)
        counts = classifier.lengths(texts).counts
        assert counts[1] >= counts[0] + 4 and counts[2] >= counts[0] + 4, "each of them is several tokens"
        padded = classifier.predict_proba(["where is my parcel" + " [PAD]" * 5, "where is my parcel" + " [SEP]" * 5])
        assert np.abs(padded - classifier.predict_proba(texts[:1])).max() > 0, "they are not ignored"
    assert not alone.encode_special_tokens, "a file cannot hold this setting, so that whoever opens one must make it"


def test_a_model_is_trained_on_what_it_is_asked(tiny_encoder: Path) -> None:
    from purport.kinds.encoder.network import load_tokenizer
    from purport.kinds.encoder.recipe import EncoderModel

    tokenizer = load_tokenizer(EncoderModel(name=str(tiny_encoder)))
    text = "is [SEP] text, ＡＢＣ"
    asked = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    read_literally(asked)
    assert tokenizer([text])["input_ids"][0] == asked.encode(text).ids
    assert asked.encode(text).tokens.count("[SEP]") == 1
