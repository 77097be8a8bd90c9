"""An operator learns at start that a server is open to strangers."""

from __future__ import annotations

from typing import Any

import pytest

from purport.serving.exposure import warnings
from purport.settings import load


def told(environment: dict[str, str] | None = None, **settings: Any) -> str:
    return "\n".join(warnings(load(settings), environment or {}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.7", "2001:db8::1"])
def test_a_public_address_without_keys_is_told_in_one_sentence(host: str) -> None:
    assert told(host=host) == (
        f"everybody who can reach {host or 'any address of this machine'} may ask, because the server has no keys; set "
        "PURPORT_API_KEYS, or let only your own network reach it"
    )
    assert told(host=host, api_keys="secret") == "" == told(host=host, authenticator="names")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "no.such.host.invalid"])
def test_loopback_is_nobody_elses(host: str) -> None:
    assert told(host=host) == ""


def test_of_several_addresses_only_the_public_ones_are_named_and_a_unix_socket_is_none() -> None:
    assert "everybody who can reach 10.0.0.7 or ::2 may ask" in told(host="127.0.0.1,10.0.0.7, ::2")
    assert told(host="127.0.0.1,::1") == "" == told(host="0.0.0.0", unix_socket="/run/purport.sock")


def test_the_key_of_a_client_is_not_taken_for_those_of_the_server() -> None:
    environment = {"PURPORT_API_KEY": "hunter2"}
    said = told(environment)
    assert "the server has no keys, which are in PURPORT_API_KEYS" in said and "hunter2" not in said
    assert told(environment, api_keys="secret") == ""
