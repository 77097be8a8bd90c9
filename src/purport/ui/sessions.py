"""Who looks at the pages: the sign-in with a key, the session behind its cookie, and requests of other sites."""

from __future__ import annotations

import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request, Response

from ..errors import Forbidden, OptionInvalid, Unauthenticated
from ..serving.access import EVERYTHING, Permission, Principal
from ..serving.context import AppContext

COOKIE = "purport_session"
_IDLE_S = 8 * 3600.0
_MOST, _MOST_OF_ONE = 4096, 64
_LOCAL = "localhost"


@dataclass
class _Session:
    principal: Principal
    last: float


class Sessions:
    """The people who have signed in. Their keys are not kept; all sessions end with the process.

    A session is a random id of 256 bits in a cookie that scripts cannot read and other sites cannot send. It ends
    after eight hours without a request, or when its owner signs out.
    """

    def __init__(self, context: AppContext, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = context.access
        self._trusts_proxies = bool(context.settings.trusted_proxies)
        self._path = path
        self._clock = clock
        self._known: OrderedDict[str, _Session] = OrderedDict()

    async def visitor(self, request: Request, permission: str = Permission.CLASSIFY) -> Principal:
        """Who makes the request: by the session, or by a key in its headers as for the API.

        Raises:
            Unauthenticated: the person must sign in.
            Forbidden: the permission is missing, or the request comes from another site.
            RateLimited: too many wrong keys came from there, or the request is more than the rate limit.
        """
        principal = await self._who(request, permission)
        self._access.count(principal)
        return principal

    async def _who(self, request: Request, permission: str) -> Principal:
        _require_same_site(request)
        session = self._session(request)
        if session is None:
            principal = await self._access.identify(request.scope, permission)
            if principal.anonymous and not self._trusts_proxies:
                _require_own_name(request)
            return principal
        permissions = session.principal.permissions
        if permission not in permissions and EVERYTHING not in permissions:
            raise Forbidden(f"Your key lacks the permission {permission}. Sign in with another key.")
        return session.principal

    def signed_in(self, request: Request) -> bool:
        """Whether the request belongs to a session, so that there is something to sign out of."""
        return self._session(request) is not None

    async def sign_in(self, request: Request, key: str, response: Response) -> None:
        """Begin a session of the client with ``key``, by a cookie of ``response``.

        Raises:
            Unauthenticated, Forbidden, RateLimited: as for a request of the API with this key.
        """
        _require_same_site(request)
        if not key.strip():
            raise Unauthenticated("Type your key.")
        kept = [header for header in request.scope["headers"] if header[0] not in (b"authorization", b"x-api-key")]
        asking = {**request.scope, "headers": [*kept, (b"x-api-key", key.strip().encode())]}
        principal = await self._access.permit(asking, Permission.CLASSIFY)
        self.sign_out(request, response)
        session = secrets.token_urlsafe(32)
        self._make_room(principal)
        self._known[session] = _Session(principal, self._clock())
        response.set_cookie(
            COOKIE,
            session,
            path=self._path,
            httponly=True,
            samesite="strict",
            secure=request.scope["scheme"] == "https",
        )

    def _make_room(self, principal: Principal) -> None:
        """End sessions of ``principal``, the oldest first, so that one key cannot end those of others."""
        mine = [name for name, each in self._known.items() if each.principal.id == principal.id]
        for name in mine[: max(0, len(mine) - _MOST_OF_ONE + 1)]:
            del self._known[name]
        while len(self._known) >= _MOST:
            owners = Counter(each.principal.id for each in self._known.values())
            (most, _), *_ = owners.most_common(1)
            del self._known[next(name for name, each in self._known.items() if each.principal.id == most)]

    def sign_out(self, request: Request, response: Response) -> None:
        """End the session of the request, if there is one."""
        self._known.pop(request.cookies.get(COOKIE, ""), None)
        response.delete_cookie(COOKIE, path=self._path, httponly=True, samesite="strict")

    def _session(self, request: Request) -> _Session | None:
        name = request.cookies.get(COOKIE, "")
        session = self._known.get(name)
        if session is None:
            return None
        now = self._clock()
        if now - session.last > _IDLE_S:
            del self._known[name]
            return None
        session.last = now
        self._known.move_to_end(name)
        return session


def _require_same_site(request: Request) -> None:
    """Refuse what the page of another site made a browser send; browsers say where a request comes from.

    Raises:
        Forbidden: it changes something and comes from elsewhere.
    """
    if request.scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if not foreign and origin is not None and site is None:
        foreign = _netloc(origin) != request.headers.get("host", "")
    if foreign:
        raise Forbidden("This request came from another site. Open the page here and try again.")


def _require_own_name(request: Request) -> None:
    """Without keys, a browser on this machine sees the pages by the names of this machine only.

    Else a page of the internet could point its own name here and read them (DNS rebinding).

    Raises:
        Forbidden: the address bar has another name.
        OptionInvalid: it has none that can be read.
    """
    client = request.client.host if request.client else ""
    if not _is_loopback(client):
        return
    host = _host(request.headers.get("host", ""))
    if host == _LOCAL or host.endswith(f".{_LOCAL}") or _is_address(host):
        return
    raise Forbidden(
        f'Without API keys the pages are shown at http://localhost, not at "{host}". Set keys (PURPORT_API_KEYS), or '
        "name the proxy in PURPORT_TRUSTED_PROXIES."
    )


def _netloc(origin: str) -> str | None:
    """Name and port of an origin; ``None`` if it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _host(header: str) -> str:
    """The name in a Host header.

    Raises:
        OptionInvalid: it has none that can be read.
    """
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        raise OptionInvalid("The Host header is not a name or an address.") from None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ip_address(host).is_loopback
