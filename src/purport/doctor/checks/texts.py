"""Texts that are damaged, in another language, or longer than the model reads."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

import ftfy
import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from ...text import mostly_unspaced, words
from ..examination import Examination
from ..finding import Finding, Severity, count

NAME = "texts"
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|[a-zA-Z]{2,8});")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_LIKELY, _UNLIKELY = 0.5, 0.01  # probability of the other language, and of the main one
_LEAST_WORDS = 5
_SAMPLE, _MOST_TEXTS = 5_000, 30_000  # texts to find the main language from, and texts to check against it
_MANY = 0.01


def check(examination: Examination) -> Iterator[Finding]:
    """Encoding damage, texts in another language, overlong texts."""
    yield from _junk(examination)
    yield from _languages(examination)
    yield from _overlong(examination)


def repaired(text: str) -> str:
    """``text`` without encoding damage: mojibake and HTML entities are decoded, control characters removed."""
    if _PLAIN.fullmatch(text) and "&" not in text:
        return text.strip()
    fixed = html.unescape(text) if _ENTITY.search(text) else text
    fixed = ftfy.fix_encoding(fixed)
    # In scripts without spaces, a zero-width space separates words.
    kept = "\u200b" if "\u200b" in fixed and mostly_unspaced([words(fixed)]) else ""
    return "".join(letter for letter in fixed if letter == kept or not _is_junk(letter)).strip()


def _is_junk(letter: str) -> bool:
    # Category Cf has zero-width marks, but joiners and direction marks belong to some scripts.
    category = unicodedata.category(letter)
    return (category in ("Cc", "Co", "Cn", "Cs") and letter not in "\t\n\r") or letter in "\ufeff\ufffd\u200b\u00ad"


def _junk(examination: Examination) -> Iterator[Finding]:
    notes, fixes = {}, []
    for position, text in enumerate(examination.table.texts):
        clean = repaired(text)
        if clean == text.strip():
            continue
        lost = "\ufffd" in text
        notes[position] = "characters are lost" if lost else "can be repaired"
        if clean:
            fixes.append(examination.fix(position, "rewrite", NAME, "encoding damage", apply=not lost, text=clean))
    if notes:
        yield examination.finding(
            NAME,
            Severity.WARNING,
            notes,
            title=f"Encoding damage in {count(len(notes), 'text')}",
            why="The text was decoded with the wrong encoding, or markup was left in, so the model sees characters "
            "that nobody typed.",
            remedy="Apply the proposed rewrites or, better, export the source again with the right encoding.",
            worth=examination.excess_error(notes),
            fixes=tuple(fixes),
        )


def _languages(examination: Examination) -> Iterator[Finding]:
    table = examination.table
    long = np.array([p for p in range(len(table)) if len(table.words[p]) >= _LEAST_WORDS], dtype=np.intp)
    if not len(long):
        return
    examination.say("identifying languages")
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    drawn = np.random.default_rng(examination.seed).choice(long, size=min(len(long), _SAMPLE), replace=False)
    main, _ = Counter(identifier.classify(table.texts[position])[0] for position in drawn).most_common(1)[0]
    if len(long) > _MOST_TEXTS:  # another language has rare words: check the texts with the rarest ones
        in_rows = Counter(word for position in long for word in set(table.words[position]))
        usual = [np.mean([in_rows[word] for word in table.words[position]]) for position in long]
        long = np.sort(long[np.argsort(usual, kind="stable")[:_MOST_TEXTS]])
    ranked = [identifier.rank(table.texts[position]) for position in long]
    outliers = {
        int(position): languages[0][0]
        for position, languages in zip(long, ranked, strict=True)
        if languages[0][1] >= _LIKELY and dict(languages)[main] <= _UNLIKELY
    }
    if not outliers:
        return
    top = ", ".join(f"{name} {number}" for name, number in Counter(outliers.values()).most_common(4))
    yield examination.finding(
        NAME,
        Severity.INFO,
        outliers,
        title=f'Different language from the rest ("{main}") in {count(len(outliers), "text")}: {top}',
        why="A model trained mostly on one language is overconfident in others. Names and titles can mislead the "
        "language identifier, so check each row before dropping it.",
        remedy="Drop these rows, translate them, or add enough training rows in that language.",
        worth=examination.excess_error(outliers),
        fixes=tuple(
            examination.fix(position, "drop", NAME, f"language {language}", apply=False)
            for position, language in outliers.items()
        ),
    )


def _overlong(examination: Examination) -> Iterator[Finding]:
    measured = examination.token_lengths
    rows = np.flatnonzero(measured.counts > measured.limit)
    if len(rows):
        share = len(rows) / len(examination.table)
        reader = "models read at most by default" if examination.classifier is None else "the model reads"
        rows = rows[np.argsort(-measured.counts[rows], kind="stable")]
        yield examination.finding(
            NAME,
            Severity.WARNING if share >= _MANY else Severity.INFO,
            {row: f"{measured.counts[row]} {measured.unit}" for row in rows.tolist()},
            title=f"Longer than the {measured.limit:,} {measured.unit} that {reader}: {count(len(rows), 'text')}",
            why=f"{share:.2%} of all rows. Such a text is read in part, or sentence by sentence, of which the one "
            "decides that is most like what the model knows.",
            remedy="Remove text that is not part of the message (signatures, quotes)"
            + (", or raise model.max_length." if measured.unit == "tokens" else "."),
            worth=examination.excess_error(rows),
        )
