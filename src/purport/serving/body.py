"""Reads the body of a request as a JSON object, within bounds, and checks that a value is a text."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from ..contents import no_constant
from ..errors import BodyInvalid, BodyTooLarge, MediaTypeUnsupported, Overloaded, TextEmpty, TextInvalid

HELD_KEY = "purport.held"
"""The key in a request's scope for the bytes that it holds until it is answered, and whose they are."""
_MOST_HELD = 32 * 1024 * 1024
_TOO_LARGE = "The requests under way are too large together; try again later."
# A list of a thousand texts has fewer by far; millions of tiny values would keep all others waiting.
_MOST_VALUES = 400_000
_MOST_NESTED = 50_000
_MOST_FIELDS = 1_000


class Held:
    """Bytes that requests hold, such as their bodies until they are answered, and how much of them is whose.

    ``complaint`` is told to whoever would hold too much.
    """

    def __init__(self, most: int = _MOST_HELD, complaint: str = _TOO_LARGE) -> None:
        self._most = most
        self._complaint = complaint
        self.now = 0
        self._whose: Counter[str] = Counter()

    def take(self, scope: Scope, count: int, client: str | None = None) -> None:
        """Count ``count`` more bytes for the request of ``scope``; those of ``client`` may be as many as are then free.

        So a client alone holds half, and leaves the rest to others and to small requests, which have no ``client``.

        Raises:
            Overloaded: the requests would hold too much.
        """
        now = self.now + count
        if now + (self._whose[client] + count if client else 0) > self._most:
            raise Overloaded(self._complaint, 1.0)
        self.now = now
        held, _ = scope.get(HELD_KEY, (0, None))
        scope[HELD_KEY] = held + count, client
        if client:
            self._whose[client] += count

    def give(self, scope: Scope) -> None:
        """The request of ``scope`` is answered."""
        held, client = scope.pop(HELD_KEY, (0, None))
        self.now -= held
        if client:
            self._whose[client] -= held
            if not self._whose[client]:
                del self._whose[client]


HELD = Held()
"""The bodies of this process."""


def is_json(media_type: str) -> bool:
    """Whether a content type is JSON (``application/json`` or ``application/…+json``)."""
    essence = media_type.partition(";")[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


async def read_body(scope: Scope, receive: Receive, limit: int, client: str | None = None) -> bytes:
    """The body, of at most ``limit`` bytes; reading stops if it is longer. Large ones count as those of ``client``.

    Raises:
        MediaTypeUnsupported: its content type is not JSON.
        BodyTooLarge: it is longer.
        Overloaded: all bodies together are too large.
        ClientDisconnect: the client disconnected before the body was complete.
    """
    for name, value in scope["headers"]:
        if name == b"content-type" and not is_json(value.decode("latin-1")):
            raise MediaTypeUnsupported(f'Send "Content-Type: application/json", not "{value.decode("latin-1")}".')
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise BodyTooLarge(f"The body has {int(value)} bytes; at most {limit} are allowed.")
    return await collected(scope, receive, limit, client)


async def collected(scope: Scope, receive: Receive, limit: int, client: str | None = None) -> bytes:
    """The body, whatever its content type; see :func:`read_body`.

    Raises:
        BodyTooLarge, Overloaded, ClientDisconnect: likewise.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes, which is the limit.")
        HELD.take(scope, len(chunk), client)
        if not message.get("more_body", False):
            return bytes(body)


_DECODER = json.JSONDecoder(parse_constant=no_constant)


def parse_object(body: bytes, example: str) -> dict[str, Any]:
    """The JSON object in ``body``; error messages show ``example``.

    Raises:
        BodyInvalid: the body is not a JSON object.
    """
    if body.count(b",") > _MOST_VALUES or body.count(b"[") + body.count(b"{") > _MOST_NESTED:
        raise BodyInvalid(f"The body has too many values; send {example}.")
    if not body.strip():
        raise BodyInvalid(f"The body is empty; send {example}.")
    try:
        values: Any = _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BodyInvalid(f"The body is not JSON in UTF-8{_where(error)}; send {example}.") from None
    if not isinstance(values, dict):
        raise BodyInvalid(f"The body is not a JSON object; send {example}.")
    if len(values) > _MOST_FIELDS:
        raise BodyInvalid(f"The body has {len(values)} fields; send {example}.")
    return values


def _where(error: Exception) -> str:
    """Where ``error`` stands in a body."""
    if isinstance(error, json.JSONDecodeError):
        return f" (line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]})"
    return f" (byte {error.start + 1})" if isinstance(error, UnicodeDecodeError) else ""


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
        raise TextEmpty('"text" is empty.')
    return text
