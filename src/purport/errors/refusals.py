"""Errors that the HTTP service returns to its client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .root import PurportError


class RequestError(PurportError):
    """A request that gets an error response; ``retry_after`` is in seconds, or ``None`` if waiting does not help."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class TextEmpty(RequestError):
    """``text`` is empty or only white space."""


class TextMissing(RequestError):
    """The body has no ``text``."""


class TextInvalid(RequestError):
    """``text`` is not a string of Unicode characters."""


class BodyInvalid(RequestError):
    """No body, not JSON, or not an object."""


class BodyTooLarge(RequestError):
    """The body exceeds the size limit."""


class HeadTooLarge(RequestError):
    """Request line and headers exceed the size limit."""


class MediaTypeUnsupported(RequestError):
    """The body is declared as something other than JSON."""


class PathUnknown(RequestError):
    """No such path."""


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""


class TextsInvalid(RequestError):
    """``texts`` is missing, not a list, empty or too long."""


class OptionInvalid(RequestError):
    """A request option has an invalid value."""


class OptionUnknown(RequestError):
    """A question is about something that is no label of the model."""


class ModelUnknown(RequestError):
    """The server has no model of that name."""


class ModelConflict(RequestError):
    """The default model is to be deleted, or there are too many models."""


class BundleInvalid(RequestError):
    """A bundle that the server was asked to load cannot be opened."""


class NothingBefore(RequestError):
    """A rollback was requested, but there is no earlier bundle."""


class NotTaught(RequestError):
    """This model cannot be taught these examples, or there is nothing to undo."""


class NotExplained(RequestError):
    """The model has no such label, or cannot be explained by this method or with so many calls."""


class EntryChanged(RequestError):
    """Somebody else was faster with an edit; ``entries`` are the entries as they are now."""

    entries: Sequence[dict[str, Any]] = ()


class Unauthenticated(RequestError):
    """Missing or invalid key."""


class Forbidden(RequestError):
    """The key lacks the permission."""


class RateLimited(RequestError):
    """Too many requests."""


class NotReady(RequestError):
    """The model is not loaded, or the server is about to stop."""


class Overloaded(RequestError):
    """The queue is full."""


class DeadlineExceeded(RequestError):
    """There was no answer within the time limit."""
