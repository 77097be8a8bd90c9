"""Words and normalisation: what is one text to a person is one text to every feature, and different ones stay so."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from purport import Bundle, Classifier, Dataset, Example
from purport.data.table import RowTable
from purport.doctor.diagnose import diagnose, proposed
from purport.evaluation.explore.measure import explore
from purport.kinds.linear.ngrams import Ngrams
from purport.progress import SILENT
from purport.text import mostly_unspaced, normal_form, normalise, phrase, pieces, segments, spans, words
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

from .languages import LANGUAGES, Language, decomposed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("How do I learn C++, C# and .NET?", ["how", "do", "i", "learn", "c++", "c#", "and", ".net"]),
        ("C++11 is a+b, not C", ["c++", "11", "is", "a", "+", "b", "not", "c"]),
        ("Don’t pay $5 or 50% -- -3.14 (R&D)", ["don't", "pay", "$", "5", "or", "50", "%", "-3.14", "r", "&", "d"]),
        ("dial *100# now.", ["dial", "*", "100#", "now"]),
        ("e-mail: A.B@c.org", ["e", "mail", "a.b", "@", "c.org"]),
        ("my order 😀👍🏽 ❤️ 👨\u200d👩\u200d👧 🇩🇪", ["my", "order", "😀", "👍🏽", "❤", "👨\u200d👩\u200d👧", "🇩🇪"]),
        ("खाता खोलो।", ["खाता", "खोलो"]),
        ("บัญชีเปิด", ["บั", "ญ", "ชี", "เปิ", "ด"]),
        ("我想退款ＡＢＣ", ["我", "想", "退", "款", "abc"]),
        ("カタカナとひらがな", ["カタカナ", "と", "ひ", "ら", "が", "な"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("حسابي مُغلق؟", ["حسابي", "مُغلق"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("STRASSE straße ΟΔΟΣ οδός", ["strasse", "strasse", "οδοσ", "οδόσ"]),
        ("\ud800 x", ["x"]),
        ("", []),
        (" \t\n", []),
        ("?! …", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_emoji_that_are_newer_than_this_python_are_words() -> None:
    assert words("order \U0001faea \U0001fae9") == ["order", "\U0001faea", "\U0001fae9"]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_texts_are_the_same_or_different_as_people_say(language: Language) -> None:
    assert len({normal_form(text) for text in language.same}) == 1
    assert len({normal_form(text) for text in language.different}) == len(language.different)
    for text in (row.text for row in language.rows()):
        assert words(text) == words(decomposed(text)) == words(text + "?!")
        assert not any(unicodedata.category(word[0]).startswith("M") for word in words(text)), "marks have letters"


@given(TEXTS)
def test_every_way_to_encode_a_text_is_read_alike(text: str) -> None:
    read = normalise(text)
    for form in ("NFC", "NFD"):
        assert normalise(unicodedata.normalize(form, text)) == read
    ngrams = Ngrams(splitting=2)
    assert [*ngrams(text)] == [*ngrams(unicodedata.normalize("NFD", text))]


@given(TEXTS)
def test_nothing_that_is_seen_is_lost_but_white_space(text: str) -> None:
    kept = "".join(segments(text))
    assert "".join(pieces(text)) == kept
    whole = normalise(text).casefold().replace("i\u0307", "i")
    assert [c for c in kept if not c.isspace()] == [c for c in whole if not c.isspace()]


def test_a_long_run_of_marks_takes_no_time() -> None:
    assert len(normalise("a" + "\u0301\u0323" * 200_000)) > 200_000


def test_phrases_have_spaces_where_their_script_has() -> None:
    assert phrase(["show", "me", "c++"]) == "show me c++"
    assert phrase(words("我想退款 abc")) == "我想退款 abc"
    assert phrase(words("เปิดบัญชี")) == "เปิดบัญชี"
    assert mostly_unspaced([words("我想退款")]) and not mostly_unspaced([words("खाता खोलो"), words("한국어")])


def test_a_bundle_of_before_has_the_ngrams_of_before() -> None:
    old = Ngrams.model_validate({"words": [1, 2], "characters": [0, 0]})
    assert [*old("Don’t learn C++")] == [f"w {gram}" for gram in (
        "don", "’", "t", "learn", "c", "+", "+", "don ’", "’ t", "t learn", "learn c", "c +", "+ +")]  # fmt: skip
    new = Ngrams(characters=(0, 0), splitting=2)
    assert [*new("Don’t learn C++")] == [f"w {gram}" for gram in (
        "don", "'", "t", "learn", "c++", "don '", "' t", "t learn", "learn c++")]  # fmt: skip


def test_a_text_is_cut_and_counted_as_it_is_read() -> None:
    ngrams = Ngrams(max_characters=4, splitting=2)
    assert ngrams.read(decomposed("ééééé")) == "éééé" and len(ngrams.normalised(decomposed("ééééé"))) == 5


@pytest.fixture(scope="module", params=LANGUAGES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Language, Bundle]:
    language = LANGUAGES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    rows = language.rows()
    for name, kept in (("train", [n for n in range(64) if n % 5]), ("valid", range(0, 64, 5))):
        lines = [json.dumps({"text": rows[n].text, "label": rows[n].labels[0]}) for n in kept]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    recipe = {
        "kind": "linear",
        "task": "multiclass",
        "data": {"name": str(folder), "valid": "valid"},
        "decide": {"reject_below": 0.0},
    }
    bundle = train(parse_recipe(recipe), folder / "bundle")
    assert bundle is not None
    return language, bundle


def test_a_linear_model_knows_its_texts_however_they_are_encoded_and_written(trained: tuple[Language, Bundle]) -> None:
    language, bundle = trained
    rows = language.rows()
    texts = [row.text for row in rows]
    classifier = Classifier.open(bundle)
    answered = classifier.predict_proba(texts)
    decided = [each.ranked[0].label for each in classifier.predict(texts)]
    right = np.mean([label in row.labels for label, row in zip(decided, rows, strict=True)])
    assert right >= 0.9, f"{right:.0%} of the texts, most of which were trained on"
    upper = [text.replace("i", "İ").upper() if language is LANGUAGES["turkish"] else text.upper() for text in texts]
    for other in (list(map(decomposed, texts)), upper, [text.replace("'", "’") for text in texts]):
        assert (classifier.predict_proba(other) == answered).all()
    wide = [text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}) for text in texts]
    assert (classifier.predict_proba(wide) == answered).all()


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_exploring_finds_words_pairs_and_near_duplicates(language: Language) -> None:
    rows = language.rows()
    found = explore(RowTable.of(Dataset.from_examples({"train": [*rows, Example(rows[5].text + "!", ("open",))]})))
    [split] = found.splits
    assert split.duplicate_texts == 1
    vocabulary = split.vocabulary
    assert language.word in {each.item for each in vocabulary.most_common}
    assert language.pair in {each.item for each in vocabulary.bigrams}
    assert found.clustered_rows < 60, "wordings with other things in them are not all one cluster"


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_the_doctor_finds_what_is_planted_and_nothing_else(language: Language) -> None:
    rows = language.rows()
    pairs = [Example(text, (f"intent {n}",)) for n, text in enumerate(language.different)]
    clean = diagnose(RowTable.of(Dataset.from_examples({"train": [*rows, *pairs]})), reporter=SILENT)
    assert not [each.title for each in clean.findings if each.severity.value == "error" or each.check == "repeats"]
    assert not [each.title for each in clean.findings if each.title.startswith(("One wording", "Different"))]
    assert not [fix for fix in proposed(clean.findings) if fix.apply]
    again = Example(f"«{decomposed(rows[20].text)}»", ("open",))
    planted = {
        "train": [*rows, Example(language.same[0], ("open",)), again],
        "test": [Example(language.same[-1], ("open",))],
    }
    found = diagnose(RowTable.of(Dataset.from_examples(planted)), reporter=SILENT)
    for title in ("Leak: 1 text of test", "Conflict: 2 rows"):
        assert any(finding.title.startswith(title) for finding in found.findings), title


def test_label_names_that_differ_by_a_sign_are_different() -> None:
    rows = [Example(f"{label} number {n}", (label,)) for label in ("C", "C++", "C#", "खोलो", "खोला") for n in range(4)]
    found = diagnose(RowTable.of(Dataset.from_examples({"train": rows})), reporter=SILENT)
    assert not [finding.title for finding in found.findings if "spelling" in finding.title]


def test_an_encoder_reads_every_encoding_alike(encoder_bundle: Bundle) -> None:
    tokenizer = Tokenizer.from_file(str(Path(encoder_bundle.path, "tokenizer.json")))
    for language in LANGUAGES.values():
        for text in (row.text for row in language.rows()):
            assert tokenizer.encode(text).ids == tokenizer.encode(decomposed(text)).ids
    for left, right in (("ＡＢＣ order", "ABC order"), ("i don’t", "i don't"), ("\u200fcard\u200f", "card")):
        assert tokenizer.encode(left).ids == tokenizer.encode(right).ids
    classifier = Classifier.open(encoder_bundle)
    texts = ["where is my café order", "i’m waiting"]
    assert (classifier.predict_proba(texts) == classifier.predict_proba([decomposed(texts[0]), "i'm waiting"])).all()


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("my rеfund pаymеnt", "my refund payment"),  # Cyrillic е and а
        ("РayРal", "PayPal"),
        ("cпасибо, Bаш заказ", "спасибо, Ваш заказ"),  # Latin c, B and a
        ("расе и соса", "расе и соса"),  # Cyrillic all through, whatever it looks like
        ("Ωmega 5µm SMSка WhatsAppом", "Ωmega 5μm SMSка WhatsAppом"),
    ],
)
def test_a_word_has_no_letters_that_only_look_right(typed: str, read: str) -> None:
    assert normalise(typed) == read


def test_a_run_of_marks_is_one_span_however_long() -> None:
    """Looking at the whole run again for each mark took hours for so many, in the process that answers everybody."""
    assert spans("!" * 131_072) == [(0, 131_072)]
    assert spans("stop!?! go ... 😀!") == [(0, 4), (4, 7), (8, 10), (11, 14), (15, 16), (16, 17)]
