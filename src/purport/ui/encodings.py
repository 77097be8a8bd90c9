"""Asks in which encoding a file is, where neither the file nor the model tells: a word of it as each would show it."""

from __future__ import annotations

from pathlib import Path

from ..data.formats import format_of
from ..data.formats.encoded import encoding_for, suggested
from ..data.hints import Hints
from ..errors import BodyInvalid, OptionInvalid

_NAMES = {
    "cp1252": "Western European",
    "cp1250": "Central European",
    "cp1251": "Cyrillic",
    "cp1254": "Turkish",
    "cp1253": "Greek",
    "gb18030": "Chinese",
    "shift_jis": "Japanese",
    "euc_kr": "Korean",
}


class EncodingUnclear(BodyInvalid):
    """A file is not UTF-8 and may be read in several ways.

    Attributes:
        choices: encodings, each with what a person reads, such as ``Western European: Kündigung``.
    """

    def __init__(self, name: str, words: dict[str, str]) -> None:
        super().__init__(
            f"{name} was not saved as UTF-8, and does not say in which encoding it was saved. Choose the line in which "
            "the word from the file looks right. If none does, save the file as UTF-8 and send it again."
        )
        self.choices = [
            (encoding, f"{_NAMES[encoding]}: {word}".removesuffix(": ")) for encoding, word in words.items()
        ]


def encoding_of(path: Path, name: str, hints: Hints, given: str | None) -> str | None:
    """The encoding to read the file ``path`` in, which a person calls ``name``; ``None`` leaves it to file and hints.

    ``given`` is what the person has chosen.

    Raises:
        FormatUnknown: no format has the suffix of ``path``.
        EncodingUnclear: the person must choose.
    """
    format_of(path)
    if given is not None or encoding_for(path, hints.spec.encoding):
        return given
    words = suggested(path)
    if words is None or len(words) == 1:
        return None if words is None else next(iter(words))
    raise EncodingUnclear(name, words or dict.fromkeys(_NAMES, ""))


def chosen(problem: BaseException | None, encoding: str) -> str:
    """``encoding``, if ``problem`` is the question and this is one of its answers.

    Raises:
        OptionInvalid: it is none.
    """
    if not isinstance(problem, EncodingUnclear) or encoding not in dict(problem.choices):
        raise OptionInvalid("This file waits for no encoding, or not for this one. Send the file again.")
    return encoding
