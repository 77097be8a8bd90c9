"""Which heads of requests are not accepted, and why."""

from __future__ import annotations

from ..errors import BodyInvalid, HeadTooLarge, MethodNotAllowed, RequestError
from .connections import HEAD_BYTES, HEADERS


def problem(
    method: bytes, version: str, url: bytes, headers: list[tuple[bytes, bytes]], size: int
) -> RequestError | None:
    """Why a head is not accepted; ``size`` is the number of bytes in which it arrived, or more."""
    if method == b"CONNECT":
        return MethodNotAllowed("CONNECT is not allowed; this server is no proxy.")
    if len(headers) > HEADERS:
        return HeadTooLarge(f"The request has more than {HEADERS} headers.")
    if size > HEAD_BYTES and len(url) + sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES:
        return too_large()
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (hosts or version == "1.1"):
        return BodyInvalid(f'The request has {len(hosts)} "Host" headers; send one.')
    return None


def too_large() -> HeadTooLarge:
    """The head is too long."""
    return HeadTooLarge(f"Request line and headers have more than {HEAD_BYTES} bytes.")
