"""From the bytes of a request to a text."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from ..errors import BodyInvalid, BodyTooLarge, MediaTypeUnsupported, TextEmpty, TextInvalid, TextMissing


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most ``limit`` bytes; reading stops where it is longer.

    Raises:
        MediaTypeUnsupported: it is declared as something other than JSON.
        BodyTooLarge: it is longer.
    """
    declared = request.headers.get("content-type")
    if declared is not None and not _is_json(declared):
        raise MediaTypeUnsupported(f'Send "Content-Type: application/json", not "{declared}".')
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limit:
        raise BodyTooLarge(f"The body has {length} bytes; at most {limit} are read.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes.")
    return bytes(body)


def _is_json(media_type: str) -> bool:
    essence = media_type.partition(";")[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def parse_text(body: bytes) -> str:
    """``text`` of the JSON object in ``body``; other fields are ignored.

    Raises:
        BodyInvalid, TextMissing, TextInvalid, TextEmpty: the body is not that.
    """
    if not body.strip():
        raise BodyInvalid('The body is empty; send {"text": "..."}.')
    try:
        values: Any = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BodyInvalid('The body is not JSON in UTF-8; send {"text": "..."}.') from None
    if not isinstance(values, dict):
        raise BodyInvalid('The body is not a JSON object; send {"text": "..."}.')
    if "text" not in values:
        raise TextMissing
    text = values["text"]
    if not isinstance(text, str):
        raise TextInvalid('"text" is not a string.')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TextInvalid('"text" holds half of a surrogate pair, which is no character.') from None
    if not text.strip():
        raise TextEmpty
    return text
