"""The base of all errors."""

from __future__ import annotations

from typing import Any


class PurportError(Exception):
    """Base of every error that Purport raises deliberately. Attributes of subclasses survive pickling."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Bypass __init__: subclasses build their message from other arguments.
        return Exception.__new__, (type(self), *self.args), self.__dict__
