"""A text that is longer than the model reads is answered by its sentence that is most in scope."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from purport import Bundle, Classifier
from purport.model import Answers
from purport.runtime.long_texts import MOST, most_sentences, sentences, with_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello. Where is it? Thanks!", ["Hello.", "Where is it?", "Thanks!"]),
        ("Dear team,\n\nmy parcel\nis late", ["Dear team,", "my parcel", "is late"]),
        ("你好。我的包裹在哪里？谢谢！", ["你好。", "我的包裹在哪里？", "谢谢！"]),
        ("मेरा पार्सल कहाँ है। धन्यवाद।", ["मेरा पार्सल कहाँ है।", "धन्यवाद।"]),
        ("version 3.5 of a.b is out", ["version 3.5 of a.b is out"]),
        (" \n . \n", ["."]),
        ("", []),
    ],
)
def test_sentences_of_a_text(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_of_many_sentences_the_first_and_the_last_are_looked_at() -> None:
    found = sentences("\n".join(map(str, range(100))))
    assert len(found) == MOST and found[0] == "0" and found[-1] == "99" and "50" not in found


class Scripted:
    """Answers by what is in a text: ``in_scope`` is the number that it names, or 0.05; the label likewise."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Answers:
        self.asked.append(list(texts))
        inside = np.array([max([0.05, *(float(w) for w in t.split() if w[0] == "0")]) for t in texts], np.float32)
        proba = np.stack([inside, 1 - inside], axis=1)
        return Answers(proba, inside, np.array([len(text) > 20 for text in texts]), embedding=proba)


def test_the_sentence_that_is_most_in_scope_answers_with_its_odds_shared() -> None:
    model, texts = Scripted(), ["so it is\nasked 0.9 here\nthanks a lot", "short 0.4"]
    whole = Answers(np.full((2, 2), 0.5, np.float32), np.array([0.3, 0.4], np.float32), np.array([True, False]))
    found = with_sentences(texts, whole, model)
    assert model.asked == [["so it is", "asked 0.9 here", "thanks a lot"]], "short texts are not asked again"
    assert found.in_scope.tolist() == pytest.approx([0.75, 0.4]), "odds of 9 among three sentences are 3"
    assert found.probabilities[0].tolist() == pytest.approx([0.9, 0.1]) and found.truncated.tolist() == [True, False]
    assert found.probabilities[1].tolist() == [0.5, 0.5] and whole.in_scope[0] == np.float32(0.3)


@pytest.mark.parametrize("text", ["one long 0.9 line", "a\nb 0.9\nc\nd\ne\nf"])
def test_a_text_stays_whole_without_sentences_or_if_it_is_more_in_scope(text: str) -> None:
    whole = Answers(np.full((1, 2), 0.5, np.float32), np.array([0.8], np.float32), np.array([True]))
    found = with_sentences([text], whole, Scripted())
    assert found.in_scope.tolist() == pytest.approx([0.8]) and found.probabilities.tolist() == [[0.5, 0.5]]


def test_an_e_mail_is_answered_as_its_request(linear_bundle: Bundle) -> None:
    """With and without other texts beside it; the linear model reads 2,000 characters."""
    classifier = Classifier.open(linear_bundle)
    request, filler = "Where is my parcel?", "lorem ipsum dolor sit amet " * 90
    mail = f"{filler}\n{request}\nKind regards"
    alone, parts = classifier.answer([mail]), classifier.answer([request])
    assert alone.truncated.all() and most_sentences(mail) >= len(sentences(mail)) == 3
    np.testing.assert_allclose(alone.probabilities, parts.probabilities, atol=1e-6)
    assert 0 < alone.in_scope[0] < parts.in_scope[0]
    beside = classifier.answer(["cancel my order", mail, "refund"])
    np.testing.assert_allclose(beside.probabilities[1], alone.probabilities[0], atol=1e-6)
