"""The typed documents: settings, recipes, manifest, and the bodies of HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import httpx
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from purport import manifest as manifest_module
from purport import registry
from purport.kinds.recipe import Recipe
from purport.manifest import Manifest
from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.settings import ServerSettings
from purport.training.recipe import load_kind

from . import api
from .tables import Schema, fields, markdown, table, type_of

_SHARED = ("data", "decide")


def settings() -> str:
    """Every setting of the server, by its three names."""
    schema = ServerSettings.model_json_schema()
    rows = []
    for name, field in schema["properties"].items():
        written = "" if name == "api_keys" else json.dumps(field["default"]).strip('"')
        default = f"`{written}`" if written else ""
        rows.append((f"`{name}`", f"`PURPORT_{name.upper()}`", default, type_of(field), field["description"]))
    return table(["in `purport.toml`", "environment", "default", "type", "meaning"], rows)


def recipe() -> str:
    """The keys of a recipe: what all kinds have, then each kind's own tables."""
    kinds = {name: load_kind(name).recipe for name in ("linear", "encoder", "distilled", "cascade", "llm")}
    assert set(kinds) == set(registry.names("kinds")), "a kind is missing from the reference"
    of_kinds = [part for name, model in kinds.items() for part in _keys_of(name, model)]
    return "\n\n".join([*_shared_keys(), *of_kinds])


def _shared_keys() -> Iterator[str]:
    """The keys of every recipe."""
    schema = Recipe.model_json_schema()
    tables = dict(_tables(Recipe))
    own = {name: field for name, field in schema["properties"].items() if name not in tables}
    yield "## Every recipe"
    yield fields(_resolved({**schema, "properties": own}), api.attributes(Recipe))
    for name, section in tables.items():
        yield from _section(f"### `[{name}]`", section)


def _keys_of(kind: str, model: type[BaseModel]) -> Iterator[str]:
    """The keys that a kind adds."""
    yield f"## Kind `{kind}`"
    yield markdown((model.__doc__ or "").partition(": ")[2]).capitalize()
    for name, section in _tables(model):
        if name not in _SHARED:
            yield from _section(f"### `[{name}]` of `{kind}`", section)


def _section(title: str, section: type[BaseModel]) -> Iterator[str]:
    yield title
    yield markdown(section.__doc__ or "")
    yield fields(_resolved(section.model_json_schema()), api.attributes(section))


def _tables(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The fields of ``model`` that are tables of their own."""
    for name, field in model.model_fields.items():
        for each in (field.annotation, *get_args(field.annotation)):  # a table that may be left out is ``… | None``
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield name, each


def _resolved(schema: Mapping[str, Any]) -> Schema:
    """Simple definitions (enumerations) in the place of references to them."""
    simple = {name: each for name, each in schema.get("$defs", {}).items() if "properties" not in each}

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name in simple:
                rest = {key: each for key, each in value.items() if key != "$ref"}
                return {**walk(simple[name]), **rest}
            return {key: walk(each) for key, each in value.items()}
        return [walk(each) for each in value] if isinstance(value, list) else value

    resolved: Schema = walk(dict(schema))
    return resolved


def manifest() -> str:
    """The fields of ``manifest.json`` and of the objects in it."""
    _, schema = models_json_schema([(Manifest, "serialization")])
    definitions = _resolved(schema)["$defs"]
    order = ["Manifest", *sorted(name for name in definitions if name != "Manifest")]
    parts = []
    for name in order:
        if "properties" in definitions[name]:
            model = api.class_in("purport.manifest" if hasattr(manifest_module, name) else "purport.promise", name)
            parts += [
                f"### {name}",
                api.summary(model),
                fields(definitions[name], api.attributes(model), defaults=False),
            ]
    return "\n\n".join(parts)


def openapi() -> Any:
    """The OpenAPI document, as the server gives it."""
    app = create_app(AppContext.of(ServerSettings(access_log=False), {}, 1))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://purport") as client:
            return await client.get("/openapi.json")

    return asyncio.run(ask()).json()


def http() -> str:
    """Every path with its bodies and answers, and the objects in them."""
    document = openapi()
    parts = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts += [f"## `{method.upper()} {path}`", markdown(operation.get("description", "")), *_body(operation)]
            rows = [(status, _described(answer), _kind(answer)) for status, answer in operation["responses"].items()]
            parts += [table(["status", "meaning or label", "body"], rows)]
    definitions = document["components"]["schemas"]
    parts.append("## Objects")
    for name in sorted(_named(document["paths"], definitions)):
        schema = definitions[name]
        if "properties" in schema:
            shown = fields(_resolved({**schema, "$defs": definitions}), defaults=False)
            parts += [f"### {name}", markdown(schema.get("description", "")), shown]
    return "\n\n".join(part for part in parts if part)


def _named(value: Any, definitions: Mapping[str, Any]) -> set[str]:
    """The definitions that ``value`` refers to, directly or through others."""
    found: set[str] = set()
    new = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(value)))
    while new - found:
        found |= new
        new = {name for each in new for name in _named(definitions[each], definitions)}
    return found


def _body(operation: Mapping[str, Any]) -> Iterator[str]:
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        yield "Body:"
        yield fields(_resolved(content["schema"]))
        yield f"```json\n{json.dumps(content['example'], ensure_ascii=False)}\n```"


def _described(answer: Mapping[str, Any]) -> str:
    return "" if answer["description"] == "Successful Response" else answer["description"]


def _kind(answer: Mapping[str, Any]) -> str:
    schemas = [content.get("schema", {}) for content in answer.get("content", {}).values()]
    return " or ".join(dict.fromkeys(type_of(schema) for schema in schemas if schema))
