"""Asks in which encoding a file is, where neither the file nor the model tells: a word of it as each would show it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ..data.formats.encoded import NOT_UTF8, suggested
from ..errors import BodyInvalid, DataError, OptionInvalid

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
        self.choices = [(encoding, f"{_NAMES.get(encoding, encoding)}: {word}") for encoding, word in words.items()]


def clearer(error: DataError, path: Path, name: str) -> DataError | EncodingUnclear:
    """``error``, or the question that settles it; ``path`` is the file that a person calls ``name``."""
    if NOT_UTF8 in str(error):
        with suppress(DataError, OSError):
            if words := suggested(path):
                return EncodingUnclear(name, words)
    return type(error)(str(error).replace(str(path), name))


def chosen(problem: BaseException | None, encoding: str) -> str:
    """``encoding``, if ``problem`` is the question and this is one of its answers.

    Raises:
        OptionInvalid: it is none.
    """
    if not isinstance(problem, EncodingUnclear) or encoding not in dict(problem.choices):
        raise OptionInvalid("This file waits for no encoding, or not for this one. Send the file again.")
    return encoding
