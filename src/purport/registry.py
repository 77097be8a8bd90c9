"""The registry of entry points: built-in and third-party parts are found the same way.

A distribution adds, for example, a format with one line of metadata::

    [project.entry-points."purport.formats"]
    xlsx = "my_package.excel:XLSX"
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import PurportError, did_you_mean

GROUPS = {
    "authenticators": "authenticator",
    "checks": "doctor check",
    "formats": "format",
    "kinds": "kind of bundle",
    "models": "bundle opener",
    "operations": "operation",
    "permissions": "permission",
    "routes": "route group",
}
"""Each group of entry points, and the name of its members in messages."""


@cache
def _group(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    points = entry_points(group=f"purport.{group}")
    for point in sorted(points, key=lambda point: (not point.value.startswith("purport."), point.name)):
        if found.setdefault(point.name, point) != point:
            raise PurportError(
                f'two distributions register the {GROUPS[group]} "{point.name}": {found[point.name].value} and '
                f"{point.value}; uninstall one of them"
            )
    return found


def names(group: str) -> tuple[str, ...]:
    """The names registered in ``group``, built-in ones first; nothing is imported."""
    return tuple(_group(group))


def load(group: str, name: str, error: type[PurportError] = PurportError) -> Any:
    """The object registered as ``name`` in ``group``.

    Raises:
        PurportError: (or the subclass ``error``) nothing is registered under that name.
    """
    try:
        point = _group(group)[name]
    except KeyError:
        raise error(f'unknown {GROUPS[group]} "{name}".{did_you_mean(name, names(group))}') from None
    return point.load()
