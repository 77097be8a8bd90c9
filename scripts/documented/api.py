"""The public names of the package and the error tree, from their docstrings."""

from __future__ import annotations

import inspect
import logging
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import griffe

import purport
from purport import errors as tree
from purport.cli.exits import DEFECT, EXIT_CODES, INTERRUPTED, IO_ERROR, TERMINATED, exit_code
from purport.errors import refusals, root
from purport.serving.http_errors import HTTP, status_and_label

from .tables import markdown, table

_SECTIONS = {"parameters": "Takes", "raises": "Raises", "attributes": "Attributes", "returns": "Returns"}


_WIDEST = 88


@cache
def _package() -> Any:
    logging.getLogger("griffe").setLevel(logging.ERROR)
    source = Path(purport.__file__).parents[1]
    return griffe.load("purport", search_paths=[source], docstring_parser="google", resolve_aliases=True)


def class_in(module: str, name: str) -> Any:
    """The class of that name."""
    return getattr(import_module(module), name)


def _found(kind: type) -> Any:
    return _package()[f"{kind.__module__.removeprefix('purport.')}.{kind.__qualname__}"]


def summary(kind: type) -> str:
    """The prose of a class's docstring, without its sections."""
    found = _found(kind)
    parsed = found.docstring.parsed if found.docstring else []
    return "\n\n".join(markdown(part.value) for part in parsed if part.kind.value == "text")


def attributes(kind: type) -> dict[str, str]:
    """What is said of each attribute of a class and its bases: below it, or under ``Attributes:``."""
    said: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("purport."):
            found = _found(each)
            said |= {name: member.docstring.value for name, member in found.members.items()
                     if member.docstring and member.is_attribute}  # fmt: skip
            for part in found.docstring.parsed if found.docstring else []:
                if part.kind.value == "attributes":
                    said |= {attribute.name: attribute.description for attribute in part.value}
    return said


def python() -> str:
    """Every name that ``purport`` exports."""
    return "\n\n".join(_described(name) for name in purport.__all__ if not name.startswith("_"))


def _described(name: str) -> str:
    found = _package()[name]
    while found.is_alias:
        found = found.final_target
    parts = [f"## `{name}`"]
    if found.is_class:
        parts += [*_made(found, name), *_docstring(found, name)]
        for base in found.mro():
            parts += _docstring(base, name, only="parameters")
    else:
        parts += _docstring(found, name)
    if found.is_class:
        for method, each in {**found.inherited_members, **found.members}.items():
            member = each.final_target if each.is_alias else each
            if method.startswith("_") or member.docstring is None:
                continue
            parts += [f"### `{name}.{method}`", *_docstring(member, f"{name}.{method}")]
    return "\n\n".join(part for part in parts if part)


def _made(found: Any, name: str) -> list[str]:
    """How an instance is made, where that is by calling the class."""
    made = {**found.inherited_members, **found.members}.get("__init__")
    if made is None:
        return []
    return [f"```text\n{_signature(made.final_target if made.is_alias else made, name)}\n```"]


def _docstring(found: Any, name: str, only: str = "") -> list[str]:
    parts = []
    if found.is_function:
        parts.append(f"```text\n{_signature(found, name)}\n```")
    for part in found.docstring.parsed if found.docstring else []:
        if only and part.kind.value != only:
            continue
        match part.kind.value:
            case "text":
                parts.append(_examples(markdown(part.value)))
            case "examples":
                parts.append(_examples("\n\n".join(str(value) for _, value in part.value)))
            case kind if kind in _SECTIONS:
                parts.append(f"{_SECTIONS[kind]}:\n\n" + "\n".join(map(_item, part.value)))
    return parts


def _signature(found: Any, name: str) -> str:
    text = str(found.signature(name=name.rpartition(".")[2]))
    text = text.replace("(self, ", "(").replace("(self)", "()").replace("(cls, ", "(")
    text = text.removesuffix(" -> None") if found.name == "__init__" else text
    return text if len(text) <= _WIDEST else _one_a_line(text)


def _one_a_line(signature: str) -> str:
    """A long signature with a line for each parameter: cut at the commas that are in no further bracket."""
    depth, parts = 0, [""]
    for character in signature:
        depth += (character in "([{") - (character in ")]}")
        if character == "(" and depth == 1:
            parts += [parts.pop() + "(", ""]
        elif character == ")" and depth == 0:
            parts += [")"]
        elif character == "," and depth == 1:
            parts += [parts.pop() + ",", ""]
        else:
            parts[-1] += character
    name, *parameters, rest = parts
    return "\n".join([name, *(f"    {parameter.strip()}" for parameter in parameters), rest])


def _item(item: Any) -> str:
    name = getattr(item, "name", None) or str(item.annotation)
    return f"- `{name}`: {markdown(item.description)}".replace("\n", " ")


def _examples(text: str) -> str:
    """``>>>`` lines in a fence of their own, so that Markdown does not take them for quotations."""
    lines, inside = [], False
    for line in text.splitlines():
        if line.startswith(">>>") and not inside:
            lines += ["```pycon"]
            inside = True
        elif inside and not line.strip():
            lines += ["```"]
            inside = False
        lines.append(line)
    return "\n".join([*lines, *(["```"] if inside else [])])


def _all() -> list[type[tree.PurportError]]:
    order = "".join(inspect.getsource(each) for each in (root, tree, refusals))
    kinds = [kind for _, kind in inspect.getmembers(tree, inspect.isclass) if issubclass(kind, tree.PurportError)]
    return sorted(kinds, key=lambda kind: order.index(f"\nclass {kind.__name__}("))


def http_errors() -> str:
    """What a client is told, by status."""
    rows = sorted((status, label, markdown(kind.__doc__ or "").partition("\n")[0])
                  for kind, (status, label) in HTTP.items() if kind is not tree.PurportError)  # fmt: skip
    rows.append((*HTTP[tree.PurportError], "Anything else. The message names the request id."))
    return table(["status", "label", "meaning"], [(status, f"`{label}`", said) for status, label, said in rows])


def exit_codes() -> str:
    """What a command ends with, by code."""
    found: dict[int, list[str]] = {}
    for kind, code in EXIT_CODES.items():
        found.setdefault(code, []).append(f"`{kind.__name__}`")
    found.setdefault(IO_ERROR, []).append("a file cannot be read or written")
    found.setdefault(DEFECT, []).append("a defect in purport")
    found.setdefault(INTERRUPTED, []).append("Ctrl-C")
    found.setdefault(TERMINATED, []).append("SIGTERM")
    return table(["exit code", "after"], [(code, ", ".join(what)) for code, what in sorted(found.items())])


def errors() -> str:
    """The tree: each class, what it is below, and what becomes of it."""
    rows = []
    for kind in _all():
        made = kind.__new__(kind)
        status, label = status_and_label(made)
        rows.append((f"`{kind.__name__}`", f"`{kind.__base__.__name__}`", status, f"`{label}`", exit_code(made),
                     markdown(kind.__doc__ or "").partition("\n")[0]))  # fmt: skip
    return table(["class", "is a", "HTTP status", "label", "exit code", "meaning"], rows)
