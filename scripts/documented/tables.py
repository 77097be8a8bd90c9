"""Markdown tables, and JSON schemas as rows of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]
_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
           "minLength": "length ≥ {}", "minItems": "at least {}", "maxItems": "at most {}"}  # fmt: skip


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    heads = list(head)
    lines = [heads, ["---"] * len(heads), *[[str(cell).replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(docstring: str) -> str:
    """A docstring as Markdown: reStructuredText's roles and double backticks become code."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?([\w]+)`", r"`\1`", docstring)
    return text.replace("``", "`").strip()


def type_of(schema: Schema) -> str:
    """The type in words, with its bounds: ``integer ≥ 1``."""
    if "anyOf" in schema or "oneOf" in schema:
        parts = [type_of(part) for part in schema.get("anyOf", schema.get("oneOf", ()))]
        return " or ".join(part for part in parts if part != "null")
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    name = schema.get("type", "any")
    if name == "array":
        inner = schema.get("items") or (schema["prefixItems"][0] if "prefixItems" in schema else {})
        if schema.get("minItems", 0) == schema.get("maxItems", -1):
            return f"array of {schema['minItems']}, each {type_of(inner)}"
        name = f"array of {type_of(inner)}"
    elif name == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        name = f"object, each value {type_of(schema['additionalProperties'])}"
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    return ", ".join([name, *bounds]) if name.startswith("array") else " ".join([name, " and ".join(bounds)]).strip()


def default_of(name: str, schema: Schema, required: Iterable[str]) -> str:
    """The default as it is written in JSON or TOML; ``required``, or nothing where it is another table."""
    if name in required:
        return "required"
    value = schema.get("default")
    return "" if value is None or isinstance(value, dict) else f"`{json.dumps(value, ensure_ascii=False)}`"


def fields(schema: Schema, meanings: Mapping[str, str] | None = None, *, defaults: bool = True) -> str:
    """A table with a row for each property of an object."""
    rows = []
    for name, field in schema.get("properties", {}).items():
        said = markdown((meanings or {}).get(name) or field.get("description", "")).replace("\n", " ")
        default = [default_of(name, field, schema.get("required", ()))] if defaults else []
        rows.append([f"`{name}`", type_of(field), *default, said])
    head = ["name", "type", *(["default"] if defaults else []), "meaning"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return table(head, rows)
