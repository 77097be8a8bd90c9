"""Reads the forms that browsers send, files too, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from ..errors import BodyInvalid, BodyTooLarge, DeadlineExceeded, MediaTypeUnsupported
from ..serving.body import collected
from .blocking import blocking

_MOST_FIELDS = 2_000
_MOST_URLENCODED = 65_536  # such a body may be nothing but separators; a large one keeps the parser busy for seconds
_URLENCODED = "application/x-www-form-urlencoded"
_FORMS = (_URLENCODED, "multipart/form-data")
_UTF8 = (b"utf-8", b"utf8")


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

    def file(self) -> File | None:
        """What was chosen in the field ``file``, if it has a name and is not empty."""
        given = self.files.get("file")
        return given if given is not None and given.name and given.content.strip() else None

    def needed_file(self, which: str) -> File:
        """The same, where ``which`` says what to choose.

        Raises:
            BodyInvalid: there is none.
        """
        if (file := self.file()) is None:
            raise BodyInvalid(f"No file arrived, or an empty one. {which}")
        return file


async def read_form(request: Request, most_bytes: int, client: str | None = None) -> Form:
    """The form in the body, of at most ``most_bytes``; large ones count as held for ``client``.

    An urlencoded form has at most 64 KiB. The body is parsed in a thread.

    Raises:
        MediaTypeUnsupported: the body is no form.
        BodyTooLarge: it is longer.
        BodyInvalid: it cannot be read, or says that it is not UTF-8.
        Overloaded: all bodies together are too large.
        DeadlineExceeded: it does not come in time.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    said = kind.decode("latin-1").strip().lower()
    if said not in _FORMS:
        raise MediaTypeUnsupported(f'Send a form ({" or ".join(_FORMS)}), not "{said}".')
    # The parser decodes with whatever codec the client names; some take quadratic time, and some always fail.
    if any(name.startswith(b"charset") and value.lower() not in _UTF8 for name, value in options.items()):
        raise BodyInvalid("The form must be in UTF-8. Leave out the charset of its content type.")
    body = await _body(request, min(most_bytes, _MOST_URLENCODED) if said == _URLENCODED else most_bytes, client)
    try:
        return await blocking(_parsed, request.scope, body, most_bytes)
    except HTTPException as error:
        raise BodyInvalid(f"The form cannot be read: {error.detail}") from None


def in_time(receive: Receive, seconds: float) -> Receive:
    """``receive`` for a body that must be complete within ``seconds`` from now on, as for the API.

    Raises:
        DeadlineExceeded: when called, if it is not.
    """
    until, complete = asyncio.get_running_loop().time() + seconds, False

    async def timed() -> Message:
        nonlocal complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise DeadlineExceeded(f"The form did not arrive within {seconds:g} seconds. Send it again.") from None
        complete = not message.get("more_body", False)
        return message

    return timed


async def _body(request: Request, most: int, client: str | None) -> bytes:
    try:
        return await collected(request.scope, request.receive, most, client)
    except BodyTooLarge:
        size = f"{most / 1024 / 1024:.1g} MiB"
        raise BodyTooLarge(f"This is more than {size}, the most that is accepted.") from None


def _parsed(scope: Scope, body: bytes, most_bytes: int) -> Form:
    """The form in ``body``.

    Raises:
        HTTPException: it cannot be read.
    """
    arrived: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return arrived.pop() if arrived else {"type": "http.disconnect"}

    async def parse() -> Form:
        whole = Request({key: scope[key] for key in ("type", "headers")}, receive)
        form = await whole.form(max_files=4, max_fields=_MOST_FIELDS, max_part_size=most_bytes)
        values: dict[str, list[str]] = {}
        files: dict[str, File] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = File(value.filename or "", await value.read())
            else:
                values.setdefault(name, []).append(value)
        await form.close()
        return Form(values, files)

    return asyncio.run(parse())
