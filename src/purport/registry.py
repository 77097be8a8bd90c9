"""The registry of entry points: built-in and third-party parts are found the same way.

A distribution adds, for example, a format with one line of metadata::

    [project.entry-points."purport.formats"]
    xlsx = "my_package.excel:XLSX"
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import PurportError, did_you_mean
from .wording import printable

GROUPS = {
    "authenticators": "authenticator",
    "checks": "doctor check",
    "explainers": "method of explaining",
    "formats": "format",
    "kinds": "kind of bundle",
    "models": "bundle opener",
    "operations": "operation",
    "permissions": "permission",
    "providers": "provider of language models",
    "routes": "route group",
}
"""Each group of entry points, and the name of its members in messages."""


@cache
def _group(group: str) -> dict[str, list[EntryPoint]]:
    """The entry points under each name; there should be one."""
    found: dict[str, list[EntryPoint]] = {}
    points = entry_points(group=f"purport.{group}")
    for point in sorted(points, key=lambda point: (not _built_in(point), point.name)):
        others = found.setdefault(point.name, [])
        if point not in others:
            others.append(point)
    return found


def _built_in(point: EntryPoint) -> bool:
    return point.value.startswith("purport.")


def names(group: str) -> tuple[str, ...]:
    """The names registered in ``group``, built-in ones first; nothing is imported."""
    return tuple(_group(group))


def load(group: str, name: str, error: type[PurportError] = PurportError) -> Any:
    """The object registered as ``name`` in ``group``.

    Raises:
        PurportError: (or the subclass ``error``) nothing is registered under that name, or more than one thing, or
            the package that registers it is broken.
    """
    points = _group(group).get(name)
    if not points:
        raise error(f'unknown {GROUPS[group]} "{name}".{did_you_mean(name, names(group))}')
    point, *others = points
    if others:
        raise error(
            f'two distributions register the {GROUPS[group]} "{name}": {point.value} and {others[0].value}; '
            "uninstall one of them"
        )
    try:
        return point.load()
    except (Exception, SystemExit) as reason:
        if _built_in(point) or isinstance(reason, PurportError):
            raise
        package = f"the package {point.dist.name} {point.dist.version}" if point.dist else point.value
        raise error(
            f'the {GROUPS[group]} "{name}" of {package} cannot be loaded ({type(reason).__name__}: {reason}); '
            "install what it needs, or uninstall it"
        ) from reason


def load_all(group: str) -> Iterator[tuple[str, Any]]:
    """The name and the object of everything in ``group``.

    What another distribution registers and cannot be loaded is left out, with one warning.
    """
    for name in names(group):
        try:
            found = load(group, name)
        except PurportError as error:
            if any(map(_built_in, _group(group)[name])):
                raise
            _warn(f"left out: {error}")
        else:
            yield name, found


@cache
def _warn(message: str) -> None:
    logging.getLogger(__name__).warning("%s", printable(message))
