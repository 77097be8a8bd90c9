"""Authentication, permissions and rate limits."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import Scope

from .. import registry
from ..errors import Forbidden, RateLimited, SettingsError, Unauthenticated
from ..settings import ServerSettings

EVERYTHING = "*"


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


_OPEN = frozenset({Permission.INTENT, Permission.CLASSIFY})
"""The permissions of every client if no keys are set."""


class Keys:
    """API keys, sent as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``.

    The setting ``api_keys`` is comma-separated: ``key`` has every permission, ``key@a@b`` has the permissions ``a`` and
    ``b``. If no keys are set, every client may classify texts, but none may change the models.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._known: dict[bytes, Principal] = {}
        for entry in filter(None, (part.strip() for part in settings.api_keys.get_secret_value().split(","))):
            key, *permissions = entry.split("@")
            if not key or not all(permissions):
                raise SettingsError('api_keys: write "key" or "key@permission", separated by commas')
            if key.encode() in self._known:
                raise SettingsError("api_keys: a key occurs twice; list all its permissions in one entry: key@a@b")
            # A hash, so that the id can be stored and logged without revealing the key.
            name = f"key-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
            self._known[key.encode()] = Principal(name, frozenset(permissions or [EVERYTHING]))

    async def authenticate(self, credential: str | None, client: str) -> Principal:
        """See :class:`Authenticator`."""
        if not self._known:
            return Principal(client, _OPEN, anonymous=True)
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

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.time) -> None:
        self._authenticator: Authenticator = registry.load(
            "authenticators", settings.authenticator, SettingsError
        )(settings)  # fmt: skip
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._rates: dict[str, RateLimitItem | None] = {"": None}
        self._rate = settings.rate_limit
        self._clock = clock
        self._limit(self._rate)

    async def permit(self, request: Scope, permission: str) -> Principal:
        """Check that the request is allowed, and count it.

        Raises:
            Unauthenticated, Forbidden, RateLimited: it is not allowed.
        """
        client = request["client"][0] if request.get("client") else "unknown"
        principal = await self._authenticator.authenticate(_credential(request), client)
        if permission not in principal.permissions and EVERYTHING not in principal.permissions:
            raise Forbidden(_refusal(principal, permission))
        limit = self._limit(self._rate if principal.rate is None else principal.rate)
        if limit is not None and not self._limiter.hit(limit, principal.id):
            reset = self._limiter.get_window_stats(limit, principal.id).reset_time
            raise RateLimited(f"Rate limit exceeded ({limit}); wait and try again.", max(0.0, reset - self._clock()))
        return principal

    def _limit(self, rate: str) -> RateLimitItem | None:
        if rate not in self._rates:
            try:
                self._rates[rate] = parse(rate)
            except ValueError:
                raise SettingsError(f'rate_limit: write, for example, "100/minute", not "{rate}"') from None
        return self._rates[rate]


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
