"""An edit as browsers send it: what to do with which entries, in the versions that the person has seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import OptionInvalid
from ..wording import printable
from .forms import Form

Action = Literal["save", "skip", "undo"]
NONE = ""
"""The value of "none of these" among the labels of a form."""
_MOST = 100
_SHAPE = '"versions" must be an object such as {"12": 0}: the numbers of entries, each with the version that was seen.'


@dataclass(frozen=True, slots=True)
class Edit:
    """One decision on one or several entries; ``labels`` is ``None`` if none was chosen, and empty if none applies.

    ``new`` are labels that the person confirmed to be new ones.
    """

    action: Action
    versions: Mapping[int, int]
    labels: tuple[str, ...] | None = None
    new: tuple[str, ...] = ()


def edit_of_form(form: Form, number: int) -> Edit:
    """The edit of a form about entry ``number``; the field ``also`` has others (``13:0``) that it is for, too.

    Raises:
        OptionInvalid: a field cannot be used.
    """
    if form.value("action") == "undo":
        return Edit("undo", given_versions(form.value("undo")))
    versions = given_versions(",".join([f"{number}:{form.value('version')}", *form.values.get("also", ())]))
    action: Action = "skip" if form.value("action") == "skip" else "save"
    labels = [label for label in form.values.get("label", ()) if label != NONE]
    typed = form.value("typed").strip()
    chosen = tuple(labels + ([typed] if typed and typed not in labels else []))
    none = NONE in form.values.get("label", ())
    if chosen and none:
        raise OptionInvalid('Choose labels, or "None of these", but not both.')
    return Edit(action, versions, chosen if chosen or none else None, tuple(form.values.get("new", ())))


def edit_of_json(body: Mapping[str, Any], number: int) -> Edit:
    """The edit ``{"action": "save", "versions": {"12": 0}, "labels": ["…"], "new": []}`` about entry ``number``.

    Raises:
        OptionInvalid: a field cannot be used, or the entry itself is not among the versions.
    """
    action, versions, labels = body.get("action", "save"), body.get("versions"), body.get("labels")
    if action not in get_args(Action):
        raise OptionInvalid(f'"action" must be one of {", ".join(get_args(Action))}.')
    if not isinstance(versions, dict) or not all(type(each) is int for each in versions.values()):
        raise OptionInvalid(_SHAPE)
    found = given_versions(",".join(f"{key}:{value}" for key, value in versions.items()))
    if number not in found:
        raise OptionInvalid(_SHAPE)
    new = body.get("new", [])
    for given in ([] if labels is None else labels, new):
        if not (isinstance(given, list) and all(isinstance(each, str) for each in given)):
            raise OptionInvalid('"labels" and "new" must be lists of labels; no "labels" means that none applies.')
    return Edit(action, found, None if labels is None else tuple(labels), tuple(new))


def given_versions(word: str) -> dict[int, int]:
    """The versions in a word such as ``12:0,13:2``.

    Raises:
        OptionInvalid: it is none.
    """
    try:
        pairs = [pair.split(":") for pair in word.split(",")] if word else []
        found = {int(number): int(version) for number, version in pairs}
    except ValueError:
        raise OptionInvalid(_SHAPE) from None
    if len(found) > _MOST or any(not 0 <= each < 2**31 for pair in found.items() for each in pair):
        raise OptionInvalid(f"An edit is for at most {_MOST} entries at once.")
    return found


def versions_word(versions: Mapping[int, int]) -> str:
    """The word that :func:`given_versions` reads."""
    return ",".join(f"{number}:{version}" for number, version in versions.items())


def meant(said: str, known: Collection[str]) -> str:
    """The label of ``known`` that a browser sent as ``said``: pages show control characters as escapes.

    What is none of them is returned as it is.
    """
    if said in known:
        return said
    plain = said.replace("\r\n", "\n")
    return next((label for label in known if printable(label).replace("\r\n", "\n") == plain), said)
