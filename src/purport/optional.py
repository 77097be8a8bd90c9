"""Packages that only some components need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from .errors import DependencyMissing


@contextmanager
def needs(what: str, extra: str | None, own: str = "purport") -> Iterator[None]:
    """Inside the block, a third-party package that is not installed is reported as missing ``extra``.

    A missing module of Purport, of ``own`` or of an installed package is a defect; that error is not changed.

    Raises:
        DependencyMissing: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        spec = find_spec(missing) if missing else None
        # A namespace such as `google`, which many packages share, has no origin.
        if extra is None or missing in ("", "purport", own) or (spec is not None and spec.origin is not None):
            raise
        raise DependencyMissing(f"{what} ({error.name})", extra) from None
