"""Reads the body of a request as a JSON object, and checks that a value is a text."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from ..errors import BodyInvalid, BodyTooLarge, MediaTypeUnsupported, TextEmpty, TextInvalid


def is_json(media_type: str) -> bool:
    """Whether a content type is JSON (``application/json`` or ``application/…+json``)."""
    essence = media_type.partition(";")[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body, of at most ``limit`` bytes; reading stops if it is longer.

    Raises:
        MediaTypeUnsupported: its content type is not JSON.
        BodyTooLarge: it is longer.
        ClientDisconnect: the client disconnected before the body was complete.
    """
    for name, value in scope["headers"]:
        if name == b"content-type" and not is_json(value.decode("latin-1")):
            raise MediaTypeUnsupported(f'Send "Content-Type: application/json", not "{value.decode("latin-1")}".')
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise BodyTooLarge(f"The body has {int(value)} bytes; at most {limit} are allowed.")
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes, which is the limit.")
        if not message.get("more_body", False):
            return bytes(body)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def parse_object(body: bytes, example: str) -> dict[str, Any]:
    """The JSON object in ``body``; error messages show ``example``.

    Raises:
        BodyInvalid: the body is not a JSON object.
    """
    if not body.strip():
        raise BodyInvalid(f"The body is empty; send {example}.")
    try:
        values: Any = _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BodyInvalid(f"The body is not JSON in UTF-8; send {example}.") from None
    if not isinstance(values, dict):
        raise BodyInvalid(f"The body is not a JSON object; send {example}.")
    return values


def check_label(label: str) -> str:
    """``label``, if it can be the name of a label.

    Raises:
        ValueError: it cannot.
    """
    try:
        label.encode()
    except UnicodeEncodeError:
        raise ValueError("a label contains half of a surrogate pair, which is not a valid character") from None
    return label


def check_text(text: object) -> str:
    """``text``, if it is a text that can be classified.

    Raises:
        TextInvalid, TextEmpty: it is not.
    """
    if not isinstance(text, str):
        raise TextInvalid('"text" is not a string.')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TextInvalid('"text" contains half of a surrogate pair, which is not a valid character.') from None
    if not text.strip():
        raise TextEmpty
    return text
