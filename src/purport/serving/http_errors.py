"""The one place where errors become HTTP responses."""

from __future__ import annotations

import math
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from .. import errors

_MOST_SHOWN = 2_000  # characters of a message

HTTP: dict[type[errors.PurportError], tuple[int, str]] = {
    errors.TextEmpty: (400, "TEXT_EMPTY"),
    errors.TextMissing: (400, "TEXT_MISSING"),
    errors.TextInvalid: (400, "TEXT_INVALID"),
    errors.BodyInvalid: (400, "BODY_INVALID"),
    errors.BodyTooLarge: (413, "BODY_TOO_LARGE"),
    errors.HeadTooLarge: (431, "HEAD_TOO_LARGE"),
    errors.MediaTypeUnsupported: (415, "MEDIA_TYPE_UNSUPPORTED"),
    errors.TextsInvalid: (400, "TEXTS_INVALID"),
    errors.OptionInvalid: (400, "OPTION_INVALID"),
    errors.BundleInvalid: (409, "BUNDLE_INVALID"),
    errors.OptionUnknown: (404, "OPTION_UNKNOWN"),
    errors.ModelUnknown: (404, "MODEL_UNKNOWN"),
    errors.ModelConflict: (409, "MODEL_CONFLICT"),
    errors.NothingBefore: (409, "NOTHING_BEFORE"),
    errors.NotTaught: (409, "NOT_TAUGHT"),
    errors.EntryChanged: (409, "ENTRY_CHANGED"),
    errors.NotExplained: (409, "NOT_EXPLAINED"),
    errors.PathUnknown: (404, "NOT_FOUND"),
    errors.MethodNotAllowed: (405, "METHOD_NOT_ALLOWED"),
    errors.NotReady: (423, "NOT_READY"),
    errors.Unauthenticated: (401, "UNAUTHENTICATED"),
    errors.Forbidden: (403, "FORBIDDEN"),
    errors.RateLimited: (429, "RATE_LIMITED"),
    errors.Overloaded: (503, "OVERLOADED"),
    errors.DeadlineExceeded: (504, "DEADLINE_EXCEEDED"),
    # Every other error is not the client's fault.
    errors.PurportError: (500, "INTERNAL_ERROR"),
}


def status_and_label(error: errors.PurportError) -> tuple[int, str]:
    """Status and label of the nearest class in the table."""
    return next(HTTP[kind] for kind in type(error).__mro__ if kind in HTTP)


def answer(error: errors.PurportError) -> JSONResponse:
    """The response ``{"label": …, "message": …}``, with the headers that belong to its status."""
    status, label = status_and_label(error)
    headers = retry_after(error)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"label": label, "message": shown(str(error))}, status, headers)


def retry_after(error: errors.PurportError) -> dict[str, str]:
    """The header ``Retry-After``, in whole seconds, if waiting helps."""
    if isinstance(error, errors.RequestError) and error.retry_after is not None:
        return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return {}


def shown(message: str) -> str:
    """``message`` as it can be sent: halves of surrogate pairs are replaced, and a very long one is cut."""
    if len(message) > _MOST_SHOWN:
        message = f"{message[: _MOST_SHOWN // 2]} … {message[-_MOST_SHOWN // 2 :]}"
    return message.encode("utf-8", "replace").decode()


def raw(response: Response) -> bytes:
    """``response`` as HTTP/1.1."""
    status = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n".encode()
    head = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
    return status + head + b"\r\n" + bytes(response.body)


def last(error: errors.PurportError) -> bytes:
    """``error`` as the last response of a connection."""
    response = answer(error)
    response.headers["Connection"] = "close"
    return raw(response)


def body_of(error: errors.PurportError, request_id: str) -> dict[str, str]:
    """``{"label": …, "message": …}`` for one of many texts; details of internal errors are hidden."""
    told = shown(str(error)) if isinstance(error, errors.RequestError) else _went_wrong(request_id)
    return {"label": status_and_label(error)[1], "message": told}


def _went_wrong(request_id: str) -> str:
    return f"Internal error; the server's log has details under request id {request_id}."


def internal_error(request_id: str, debug: str | None) -> JSONResponse:
    """The response to an unexpected exception; ``debug`` is the exception's text, if it may be shown."""
    message = _went_wrong(request_id) + (f" {debug}" if debug else "")
    return JSONResponse({"label": "INTERNAL_ERROR", "message": message}, 500)
