"""Who may ask, and how often."""

from __future__ import annotations

import hmac
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import Scope

from ..errors import Forbidden, RateLimited, SettingsError, Unauthenticated

EVERYTHING = "*"


class Keys:
    """API keys with scopes, sent as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``.

    ``spec`` is comma-separated: ``key`` may do everything, ``key@a@b`` what scopes ``a`` and ``b`` allow.
    Without any key everybody may ask.
    """

    def __init__(self, spec: str) -> None:
        self._scopes: dict[bytes, frozenset[str]] = {}
        for entry in filter(None, (part.strip() for part in spec.split(","))):
            key, *scopes = entry.split("@")
            if not key or not all(scopes):
                raise SettingsError('api_keys: write "key" or "key@scope", separated by commas')
            self._scopes[key.encode()] = frozenset(scopes or [EVERYTHING])

    def __bool__(self) -> bool:
        return bool(self._scopes)

    def check(self, request: Scope, scope: str) -> str:
        """The name under which the asker is counted.

        Raises:
            Unauthenticated: no key, or one that is not known.
            Forbidden: the key has not the ``scope``.
        """
        if not self._scopes:
            return request["client"][0] if request.get("client") else "unknown"
        sent = _sent_key(request)
        if sent is None:
            raise Unauthenticated('Send a key as "Authorization: Bearer KEY" or "X-API-Key: KEY".')
        # Compare with every key, so that the time taken says nothing about them.
        known = [scopes for key, scopes in self._scopes.items() if hmac.compare_digest(key, sent)]
        if not known:
            raise Unauthenticated("The key is not known.")
        if not known[0] & {scope, EVERYTHING}:
            raise Forbidden(f"The key may not do this; it lacks the scope {scope}.")
        return sent.decode(errors="replace")


def _sent_key(request: Scope) -> bytes | None:
    headers = Headers(scope=request)
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip().encode()
    header = headers.get("x-api-key")
    return header.encode() if header else None


class RateLimit:
    """At most so many requests per client in a moving window; ``spec`` as in ``100/minute``, empty for none."""

    def __init__(self, spec: str) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._item = None
        if spec:
            try:
                self._item = parse(spec)
            except ValueError:
                raise SettingsError(f'rate_limit: write for example "100/minute", not "{spec}"') from None

    def check(self, client: str) -> None:
        """Count one request of ``client``.

        Raises:
            RateLimited: it is one too many; carries the seconds until the next one is allowed.
        """
        if self._item is None or self._limiter.hit(self._item, client):
            return
        reset = self._limiter.get_window_stats(self._item, client).reset_time
        raise RateLimited(f"More than {self._item}; wait and try again.", max(0.0, reset - time.time()))


class Access:
    """Keys and rate limit together: what every request passes first."""

    def __init__(self, keys: Keys, rate_limit: RateLimit) -> None:
        self._keys = keys
        self._rate_limit = rate_limit

    def check(self, request: Scope, scope: str, *, key_required: bool = False) -> None:
        """Let the request pass, and count it. ``key_required``: not without keys, even where none are set.

        Raises:
            Unauthenticated, Forbidden, RateLimited: it may not pass.
        """
        if key_required and not self._keys:
            raise Forbidden(
                "This changes the server, and it has no keys to tell who may; "
                f"start it with PURPORT_API_KEYS=key@{scope} (or send SIGHUP to reload)."
            )
        self._rate_limit.check(self._keys.check(request, scope))
