"""Errors in words for people who have not read the API's contract: what happened, and what they can do."""

from __future__ import annotations

from typing import NamedTuple

from .. import errors


class Trouble(NamedTuple):
    """A heading, what happened in detail, and whether trying again may help."""

    title: str
    message: str
    again: bool = False


TITLES: dict[type[errors.PurportError], tuple[str, bool]] = {
    errors.NotReady: ("The model is not ready yet", True),
    errors.Overloaded: ("The server is busy", True),
    errors.DeadlineExceeded: ("That took too long", True),
    errors.RateLimited: ("That was too much at once", True),
    errors.Unauthenticated: ("Please sign in", False),
    errors.Forbidden: ("You may not do this", False),
    errors.BodyTooLarge: ("That is too large", False),
    errors.PathUnknown: ("There is nothing here", False),
    errors.ModelUnknown: ("This model is no longer here", False),
    errors.BodyInvalid: ("This cannot be read", False),
    errors.EntryChanged: ("Somebody else was faster", False),
    errors.TextEmpty: ("There is no text", False),
    errors.DataError: ("This file cannot be used", False),
    errors.SettingsError: ("The server is not set up for this", False),
    errors.RequestError: ("This cannot be done", False),
}
"""The heading for each class of errors, and whether to try again; the nearest class counts."""
_DEFECT = "Something went wrong"


def trouble(error: errors.PurportError, request_id: str) -> Trouble:
    """``error`` in words; of errors that are not the person's to mend, only where the log has details."""
    found = next((TITLES[kind] for kind in type(error).__mro__ if kind in TITLES), None)
    if found is None or not isinstance(error, errors.RequestError):  # what it says is for the operator, paths too
        return Trouble(_DEFECT, f"The server's log has details under request id {request_id}.", True)
    title, again = found
    return Trouble(title, str(error), again)
