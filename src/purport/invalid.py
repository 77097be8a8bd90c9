"""What is wrong with the values of a typed document, in plain sentences: nothing of how the document is validated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from .wording import printable

_LONGEST = 60  # characters of a value that a message quotes
_MOST = 100  # errors that are looked at: a client may send any number

# What a value must be, by pydantic's name of the error; the numbers and names in braces are in its context.
_MUST_BE = {
    **dict.fromkeys(("string_type", "string_sub_type"), "a string"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "a table of keys and values"),
    **dict.fromkeys(("literal_error", "enum"), "{expected}"),
    "string_unicode": "a string of Unicode characters",
    "finite_number": "a finite number",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "string_too_short": "a string of {min_length} or more characters",
    "string_too_long": "a string of {max_length} or fewer characters",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "too_short": "{collection} of at least {min_length}",
    "too_long": "{collection} of at most {max_length}",
}
_OF_NUMBERS = {"above": "a number ", "below": "a number ", "at": "a number of "}
_OWN = ("Value error, ", "Assertion failed, ")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one key: ``says`` continues a sentence that begins with the key."""

    path: tuple[str | int, ...]
    says: str
    unknown: bool = False
    """There is no such key; ``known`` are those that there are instead."""
    known: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key as it is written in TOML, with the tables above it."""
        return ".".join(part for part in self.path if isinstance(part, str))

    def at(self, where: str) -> str:
        """The whole sentence, with ``where`` as what the user calls the key."""
        place = "".join(f"item {part + 1} of " for part in self.path[::-1] if isinstance(part, int)) + where
        # A message of our own validators names its keys itself.
        return f"{place} {self.says}" if self.says.startswith(("must be ", "is ")) else f"{place}: {self.says}"

    def __str__(self) -> str:
        return self.at(f'"{self.key}"') if self.path else self.says


def problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """One problem for each of the first keys that ``model`` refuses; the types that a key may have share a sentence."""
    grouped: dict[tuple[str | int, ...], list[Any]] = {}
    secret = set()
    for item in error.errors(include_url=False)[:_MOST]:
        path, annotation = _place(item["loc"], model)
        grouped.setdefault(path, []).append(item)
        if annotation is SecretStr:
            secret.add(path)
    # Of a key that may be a list or something else, and has a list, only what is wrong inside is told.
    inside = {path[:-1] for path in grouped if path and isinstance(path[-1], int)}
    return [
        _problem(path, items, model, hidden=path in secret) for path, items in grouped.items() if path not in inside
    ]


def says(items: Sequence[Mapping[str, Any]], *, hidden: bool = False) -> str:
    """What pydantic's errors ``items`` about one value mean: ``must be a string or a number below 1, not 2``."""
    first = items[0]
    if first["type"] == "missing":
        return "is missing"
    for prefix in _OWN:
        for item in items:
            if item["msg"].startswith(prefix):
                return str(item["msg"]).removeprefix(prefix)
    wanted = list(dict.fromkeys(filter(None, map(_wanted, items))))
    if not wanted:
        return f"is not valid ({str(first['msg']).removeprefix('Input should be ')})"
    if len(wanted) > 1:
        wanted = [_OF_NUMBERS.get(each.split()[0], "") + each for each in wanted]
    counted = first["type"] in ("too_short", "too_long") and isinstance(first["input"], Sized)
    shown = f"{len(first['input']):,}" if counted else _shown(first["input"])
    return f"must be {' or '.join(wanted)}" + ("" if hidden else f", not {shown}")


def _problem(path: tuple[str | int, ...], items: list[Any], model: type[BaseModel], *, hidden: bool) -> Problem:
    if items[0]["type"] != "extra_forbidden":
        return Problem(path, says(items, hidden=hidden))
    table = _table(path[:-1], model)
    known = tuple(".".join(map(str, (*path[:-1], name))) for name in (table.model_fields if table else ()))
    return Problem(path, "is unknown", unknown=True, known=known)


def _wanted(item: Mapping[str, Any]) -> str | None:
    template = _MUST_BE.get(item["type"])
    context = item.get("ctx", {})
    collection = "a table" if context.get("field_type") == "Dictionary" else "a list"
    return template and template.format(collection=collection, **context).replace("'", '"')


def _shown(value: object) -> str:
    """``value`` for a message, whoever sent it: short, and without characters that a terminal or UTF-8 refuses."""
    if isinstance(value, list | tuple | set):
        return "a list"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, str) and len(value) > _LONGEST:
        return printable(json.dumps(value[:_LONGEST], ensure_ascii=False)) + "..."
    return printable(json.dumps(value, ensure_ascii=False, default=str))[: 2 * _LONGEST]


def _place(loc: Sequence[str | int], model: type[BaseModel]) -> tuple[tuple[str | int, ...], Any]:
    """The keys and indices in ``loc``, without the names of the types that were tried; and the type of the last key."""
    path: list[str | int] = []
    annotation: Any = model
    for part in loc:
        table = _as_table(annotation)
        if isinstance(part, int):
            path.append(part)
        elif table is not None:
            path.append(part)
            annotation = table.model_fields[part].annotation if part in table.model_fields else None
    return tuple(path), annotation


def _table(path: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel] | None:
    return _as_table(_place(path, model)[1])


def _as_table(annotation: Any) -> type[BaseModel] | None:
    """The table that a key holds, also one that may be left out and one of a list of them."""
    candidates = [annotation, *(each for each in get_args(annotation) if each not in (NoneType, Ellipsis))]
    tables = [each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)]
    return tables[0] if len(tables) == 1 else None
