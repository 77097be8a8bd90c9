"""Authentication, permissions and rate limits."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Protocol

from limits import RateLimitItem
from starlette.types import Scope

from .. import registry
from ..errors import Forbidden, RateLimited, SettingsError, Unauthenticated
from ..settings import ServerSettings
from ..wording import nearest
from .rates import RateLimiter, parse_rate

EVERYTHING = "*"
_UNKNOWN = "unknown"
_TOO_MANY_WRONG = "Too many wrong keys came from this address; wait and try again."


class Permission(StrEnum):
    """The permissions that the built-in routes require; third-party routes may require others."""

    INTENT = "intent"
    CLASSIFY = "classify"
    MODELS = "models"


@dataclass(frozen=True, slots=True)
class Principal:
    """The client that makes a request: an id for rate limits, its permissions and its rate.

    ``rate`` is, for example, ``100/minute``; ``None`` means the server's default. ``anonymous`` clients did not
    authenticate.
    """

    id: str
    permissions: frozenset[str]
    rate: str | None = None
    anonymous: bool = False

    @property
    def client(self) -> str:
        """Who has one share and one rate: a key, or the network of a client without one."""
        network = _origin(self.id)[1] if self.anonymous else self.id
        return self.id if network == _UNKNOWN else network


class Authenticator(Protocol):
    """Identifies clients. Created from the settings.

    Registered in the entry-point group ``purport.authenticators`` and selected by ``PURPORT_AUTHENTICATOR``.
    """

    async def authenticate(self, credential: str | None, client: str) -> Principal:
        """The principal with ``credential`` (a bearer token or API key), at the network address ``client``.

        Raises:
            Unauthenticated: the credential is missing or invalid.
        """
        ...


_ASKING = frozenset({Permission.INTENT, Permission.CLASSIFY})
"""The permissions of a key without a list of them, and of every client if no keys are set."""
_WRONG_KEYS = parse_rate("20/minute")
"""How many wrong keys an address may send."""
_MOST_KNOWN = 16_384


class Keys:
    """API keys, sent as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``.

    The setting ``api_keys`` is comma-separated: ``key`` may ask, ``key@a@b`` has the permissions ``a`` and ``b`` and no
    other. If no keys are set, every client may ask. Nobody may change the models without the permission ``models``.

    Raises:
        SettingsError: an entry is empty, has an unknown permission or repeats a key; the message tells no key.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._known: dict[bytes, Principal] = {}
        keys = settings.api_keys.get_secret_value()
        for number, entry in enumerate(keys.split(",") if keys else (), 1):
            key, *permissions = entry.strip().split("@")
            if not key or not all(permissions):
                raise SettingsError(
                    f'api_keys: entry {number} is not complete; write "key" or "key@permission", separated by commas'
                )
            if key.encode() in self._known:
                raise SettingsError(
                    f"api_keys: entry {number} repeats a key; list all its permissions in one entry: key@a@b"
                )
            for permission in permissions:
                _require_permission(number, permission)
            # A hash, so that the id can be stored and logged without revealing the key.
            name = f"key-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
            self._known[key.encode()] = Principal(name, frozenset(permissions or _ASKING))

    async def authenticate(self, credential: str | None, client: str) -> Principal:
        """See :class:`Authenticator`."""
        if not self._known:
            return Principal(client, _ASKING, anonymous=True)
        if credential is None:
            raise Unauthenticated('Send a key as "Authorization: Bearer KEY" or "X-API-Key: KEY".')
        # Compare with every key, so that the time taken reveals nothing about them.
        sent = credential.encode()
        found = [principal for key, principal in self._known.items() if hmac.compare_digest(key, sent)]
        if not found:
            raise Unauthenticated("The key is not valid.")
        return found[0]


class Access:
    """Authentication, permission and rate limit, which every request must pass first."""

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._authenticator: Authenticator = registry.load(
            "authenticators", settings.authenticator, SettingsError
        )(settings)  # fmt: skip
        self._limiter, self._wrong = RateLimiter(clock), RateLimiter(clock)
        self._rates: dict[str, RateLimitItem | None] = {"": None}
        self._rate = settings.rate_limit
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._limit(self._rate)

    async def permit(self, request: Scope, permission: str) -> Principal:
        """Check that the request is allowed, and count it as one text.

        Raises:
            Unauthenticated, Forbidden, RateLimited: it is not allowed.
        """
        principal = await self.identify(request, permission)
        self.count(principal)
        return principal

    async def identify(self, request: Scope, permission: str) -> Principal:
        """Check that the request is allowed, as far as it does not depend on the rate limit.

        Raises:
            Unauthenticated, Forbidden, RateLimited: it is not; too many wrong keys came from there.
        """
        address, network = _origin(request["client"][0] if request.get("client") else "")
        principal = await self._authenticated(_credential(request), address, network)
        if permission not in principal.permissions and EVERYTHING not in principal.permissions:
            raise Forbidden(_refusal(principal, permission))
        return principal

    def count(self, principal: Principal, texts: int = 1, *, counted: int = 0) -> None:
        """Count the ``texts`` of a request, of which ``counted`` have been counted before.

        Raises:
            RateLimited: they would be more than the rate limit; none is counted.
        """
        limit = self._limit(self._rate if principal.rate is None else principal.rate)
        if limit is None:
            return
        wait = self._limiter.take(limit, principal.client, texts - counted)
        if wait and texts > limit.amount:
            raise RateLimited(f"{texts} texts are more than the rate limit ({limit}) ever allows at once.", wait)
        if wait:
            raise RateLimited(f"Rate limit exceeded ({limit}); wait and try again.", wait)

    async def _authenticated(self, credential: str | None, address: str, network: str) -> Principal:
        """The principal, unless too many wrong keys came from its network.

        Where many did, a right key is refused as well, or guessing would be as fast as before. It is let through if it
        was right from there before: an attacker behind the same proxy must not lock out those who behave.
        """
        try:
            principal = await self._authenticator.authenticate(credential, address)
        except Unauthenticated:
            if credential is not None and (wait := self._wrong.take(_WRONG_KEYS, network)):
                raise RateLimited(_TOO_MANY_WRONG, wait) from None
            raise
        if principal.anonymous or (known := (network, principal.id)) in self._known:
            return principal
        if wait := self._wrong.wait(_WRONG_KEYS, network):
            raise RateLimited(_TOO_MANY_WRONG, wait)
        self._known[known] = None
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return principal

    def _limit(self, rate: str) -> RateLimitItem | None:
        if rate not in self._rates:
            self._rates[rate] = parse_rate(rate)
        return self._rates[rate]


@lru_cache(maxsize=4096)
def _origin(host: str) -> tuple[str, str]:
    """The address of a client, and the network that counts as one client: of IPv6, a site has 2^64 (RFC 6177)."""
    try:
        address = ip_address(host)
    except ValueError:
        return _UNKNOWN, _UNKNOWN  # a Unix socket, or what a proxy made of X-Forwarded-For
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address), str(address if address.version == 4 else ip_network((address, 64), strict=False))


def _require_permission(entry: int, permission: str) -> None:
    known = (*Permission, *registry.names("permissions"))
    if permission in known:
        return
    # What resembles no permission may be a part of a key, which no message tells.
    if near := nearest(permission, known):
        raise SettingsError(
            f'api_keys: entry {entry} has the unknown permission "{permission}". Did you mean "{near}"?'
        )
    raise SettingsError(
        f'api_keys: entry {entry} has an unknown permission; known are {", ".join(known)}, and a key has no "@" in it'
    )


def _refusal(principal: Principal, permission: str) -> str:
    if principal.anonymous:
        return (
            f"This needs the permission {permission}, which nobody has because the server has no API keys; "
            f"start it with PURPORT_API_KEYS=key@{permission} (SIGHUP reloads models without a key)."
        )
    return f"The key lacks the permission {permission}."


def _credential(request: Scope) -> str | None:
    """The first bearer token or else the first API key, which is also what a proxy would check."""
    found = dict(reversed(request["headers"]))
    scheme, _, token = _decoded(found.get(b"authorization", b"")).partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return _decoded(found.get(b"x-api-key", b"")) or None


def _decoded(value: bytes) -> str:
    """A header decoded as UTF-8, which most clients send, or else as Latin-1 (RFC 9110 §5.5)."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
