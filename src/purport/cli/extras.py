"""Commands whose libraries are an extra say which one to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(what: str, extra: str) -> Iterator[None]:
    """Translate a missing third-party module into the extra that brings it.

    Raises:
        DependencyMissing: a module is not installed.
    """
    from ..errors import DependencyMissing

    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("purport"):
            raise
        raise DependencyMissing(f"{what} ({error.name})", extra) from None
