"""Warnings about who can reach a server that is about to start."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from ..settings import CLIENT_KEY, ServerSettings, variable
from .listen import names


def warnings(settings: ServerSettings, environment: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each way in which the server is more open than its operator may think."""
    if settings.api_keys.get_secret_value() or settings.authenticator != "keys":
        return
    keys = variable("api_keys")
    if CLIENT_KEY in environment:
        yield f"{CLIENT_KEY} is the key that a client sends; the server has no keys, which are in {keys}"
    public = [host or "any address of this machine" for host in names(settings.host) if not _is_loopback(host)]
    if public and not settings.unix_socket:
        where = " or ".join(public)
        yield (
            f"everybody who can reach {where} may ask, because the server has no keys; set {keys}, or let only your "
            "own network reach it"
        )


def _is_loopback(host: str) -> bool:
    if not host:  # all interfaces
        return False
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return True  # the server cannot listen there, and says so
    return all(ip_address(address).is_loopback for address in found)
