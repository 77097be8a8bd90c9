"""Reads the forms that browsers send, files too, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message

from ..errors import BodyInvalid, BodyTooLarge, MediaTypeUnsupported
from ..serving.body import HELD

_MOST_FIELDS = 2_000
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True, slots=True)
class File:
    """A file that somebody sent: its name there, and its content."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, each with all its values, and its files."""

    values: Mapping[str, list[str]] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)

    def value(self, name: str, default: str = "") -> str:
        """The first value of field ``name``."""
        return next(iter(self.values.get(name, ())), default)


async def read_form(request: Request, most_bytes: int, client: str | None = None) -> Form:
    """The form in the body, of at most ``most_bytes``; large ones count as held for ``client``.

    Raises:
        MediaTypeUnsupported: the body is no form.
        BodyTooLarge: it is longer.
        BodyInvalid: it cannot be read.
        Overloaded: all bodies together are too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _FORMS:
        raise MediaTypeUnsupported(f'Send a form ({" or ".join(_FORMS)}), not "{kind}".')
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        chunk = len(message.get("body", b""))
        size += chunk
        if size > most_bytes:
            raise BodyTooLarge(f"This is more than {most_bytes / 1024 / 1024:.1f} MiB, the most that is accepted.")
        HELD.take(request.scope, chunk, client)
        return message

    bounded = Request(request.scope, receive)
    try:
        form = await bounded.form(max_files=4, max_fields=_MOST_FIELDS, max_part_size=most_bytes)
    except ClientDisconnect:
        raise
    except HTTPException as error:
        raise BodyInvalid(f"The form cannot be read: {error.detail}") from None
    values: dict[str, list[str]] = {}
    files: dict[str, File] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = File(value.filename or "", await value.read())
        else:
            values.setdefault(name, []).append(value)
    await form.close()
    return Form(values, files)
