"""Reads recipes: TOML files with one table per section."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .. import registry
from ..errors import RecipeError, did_you_mean
from ..invalid import Problem, problems
from ..kinds.kind import Kind
from ..kinds.recipe import Recipe


def load_recipe(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file; ``overrides`` are ``section.key=value`` with TOML values (bare words are strings).

    Raises:
        RecipeError: the file cannot be read, is not TOML, or has an unknown kind, an unknown key or an invalid value.
    """
    return parse_recipe(_read(path), str(path), overrides)


def data_table(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The table ``data`` of a recipe file.

    Raises:
        RecipeError: the file cannot be read, or has no such table.
    """
    table = _read(path).get("data")
    if not isinstance(table, dict):
        raise RecipeError(f"{path} has no table [data]; name a recipe, or the data itself")
    return table


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read recipe {path}: {error.strerror}; check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from None


def parse_recipe(raw: dict[str, Any], source: str = "recipe", overrides: Iterable[str] = ()) -> Recipe:
    """The recipe that ``raw`` describes, with ``overrides`` as in :func:`load_recipe`; ``source`` names it in messages.

    Raises:
        RecipeError: see :func:`load_recipe`.
    """
    for override in overrides:
        _apply(raw, override)
    kind = raw.get("kind")
    if not isinstance(kind, str):
        raise RecipeError(f'{source}: "kind" is missing; add, for example, kind = "{registry.names("kinds")[0]}"')
    recipe_type = load_kind(kind).recipe
    try:
        return recipe_type.model_validate(raw)
    except ValidationError as error:
        found = [_problem(recipe_type, problem) for problem in problems(error, recipe_type)]
        raise RecipeError("\n".join(f"{source}: {problem}" for problem in found)) from None


def load_kind(name: str) -> Kind:
    """The kind called ``name``.

    Raises:
        RecipeError: there is none.
    """
    kind: Kind = registry.load("kinds", name, RecipeError)
    return kind


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f'--set needs key=value, for example --set fit.epochs=3, not "{override}"')
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = raw
    *sections, last = key.strip().split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise RecipeError(f'--set {override}: "{section}" is a value, not a table; set it directly')
    table[last] = value


def _problem(recipe_type: type[Recipe], problem: Problem) -> str:
    if not problem.unknown:
        return str(problem)
    if len(problem.path) == 1 and problem.key in ("fit", "model", "adapter", "export"):
        kind = recipe_type.model_fields["kind"].default
        return (
            f'kind {kind} has no table "{problem.key}"; remove it, or write a recipe of that kind with '
            f"purport init DATA --kind {kind}"
        )
    return f'unknown key "{problem.key}".{did_you_mean(problem.key, problem.known)}'
