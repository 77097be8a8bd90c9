"""The frame of the web app: templates, navigation, security headers, static files, sign-in, and errors in words."""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse

from .. import __version__
from ..errors import (
    EntryChanged,
    OptionInvalid,
    PathUnknown,
    PurportError,
    QueueInvalid,
    RequestError,
    Unauthenticated,
)
from ..invalid import says
from ..serving.access import Principal
from ..serving.context import AppContext
from ..serving.http_errors import retry_after, shown, status_and_label
from ..serving.logs import REQUEST_ID
from ..wording import percent, printable
from .blocking import blocking
from .forms import in_time, read_form
from .sessions import Sessions
from .troubles import trouble

HEADERS = {
    # Scripts and styles are files of this server; nothing inline runs, whatever a text or a label holds.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_TYPES = {".css": "text/css", ".js": "text/javascript"}
_MOST_KEY_BYTES, _MOST_LABELS = 8192, 2_000


class _Entry(Convertor[int]):
    """The number of an entry in a path. Starlette's own fails for a number of more digits than Python reads."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("entry", _Entry())

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Pages = Callable[["Site"], APIRouter]
"""A part of the web app: its routes, made with :meth:`Site.routes`; ``purport.ui.parts`` lists them."""


class Site:
    """The web app of one server.

    Attributes:
        context: the server.
        sessions: who has signed in.
        path: where the app lies for the browser, such as ``/purport/ui``.
    """

    def __init__(self, context: AppContext, prefix: str, navigation: Sequence[tuple[str, str]] = ()) -> None:
        self.context = context
        self.path = f"{context.settings.root_path}{prefix}"
        self.sessions = Sessions(context, self.path)
        self._prefix = prefix
        self._navigation = navigation
        self._static = _static_files()
        self._templates = Environment(
            loader=PackageLoader("purport.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=lambda value: printable(value) if type(value) is str else value,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["percent"] = percent

    def routes(self) -> APIRouter:
        """An empty group of routes below ``/ui``, whose errors become pages, or JSON below ``/ui/api/``."""
        site = self

        class Route(APIRoute):
            def get_route_handler(self) -> Handler:
                return site._guarded(super().get_route_handler())

        return APIRouter(prefix=self._prefix, route_class=Route, include_in_schema=False)

    async def visitor(self, request: Request) -> Principal:
        """Who makes the request; see :meth:`~purport.ui.sessions.Sessions.visitor`."""
        return await self.sessions.visitor(request)

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """The page of ``template``, which gets ``values`` and what the frame needs.

        ``active`` among the values is the path of the navigation's entry that is marked as the current one.
        """
        frame = {
            "ui": self.path,
            "home": f"{self.context.settings.root_path}/",
            "navigation": self._navigation,
            "active": "",
            "signed_in": self.sessions.signed_in(request),
            "version": __version__,
            "static": self.static_path,
        }
        return _Page(lambda: self._templates.get_template(template).render(frame | values), status)

    def static_path(self, name: str) -> str:
        """The path of a static file for the browser; it changes when the file does."""
        return f"{self.path}/static/{name}?v={self._static[name][1]}"

    def json(self, values: Mapping[str, Any]) -> Response:
        """An answer for the scripts of a page."""
        return JSONResponse(values, headers=HEADERS)

    def labels(self, labels: Sequence[str]) -> Response:
        """The labels that a picker searches, as a list that browsers keep: pages themselves have only the first."""
        shown_ = [printable(label) for label in labels[:_MOST_LABELS]]
        return JSONResponse({"labels": shown_}, headers=HEADERS | {"Cache-Control": "private, max-age=3600"})

    def download(self, content: bytes, name: str, media_type: str) -> Response:
        """A file that the browser saves as ``name``, which is ASCII.

        Excel reads a table as UTF-8 only if it starts with a byte order mark, which one that is not ASCII gets.
        """
        if media_type == "text/csv" and not (content.isascii() or content.startswith(BOM_UTF8)):
            content = BOM_UTF8 + content
        return Response(content, 200, HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}, media_type)

    def redirect(self, path: str) -> Response:
        """Go on to ``path`` below the app, such as ``/review``."""
        return RedirectResponse(f"{self.path}{path}", 303, HEADERS)

    def static(self, name: str) -> Response:
        """A style sheet or a script.

        Raises:
            PathUnknown: there is no such file.
        """
        if name not in self._static:
            raise PathUnknown(f"There is no file {name}.")
        content, _ = self._static[name]
        headers = HEADERS | {"Cache-Control": "private, max-age=31536000, immutable"}
        return Response(content, 200, headers, _TYPES[name[name.rindex(".") :]])

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            timed = Request(request.scope, in_time(request.receive, self.context.settings.deadline_ms / 1000))
            try:
                response = await handler(timed)
                return await response.rendered() if isinstance(response, _Page) else response
            except ClientDisconnect:
                raise
            except QueueInvalid as error:
                structlog.get_logger("purport.ui").warning("queue.damaged", reason=str(error))
                refused = self._refused(request, PathUnknown("This queue is damaged. The server's log has details."))
            except PurportError as error:
                refused = self._refused(request, error)
            except RequestValidationError as error:
                first = error.errors()[0]
                refused = self._refused(request, OptionInvalid(f'"{first["loc"][-1]}" {says([first])}.'))
            return await refused.rendered() if isinstance(refused, _Page) else refused

        return guarded

    def _refused(self, request: Request, error: PurportError) -> Response:
        """The error in words a person understands: a page, or JSON for the scripts of a page."""
        status, label = status_and_label(error)
        if not isinstance(error, RequestError) and status >= 500:
            structlog.get_logger("purport.ui").error("failed", request_id=REQUEST_ID.get(), reason=str(error))
        told, later = trouble(error, REQUEST_ID.get()), retry_after(error)
        if request.scope["path"].startswith(f"{self._prefix}/api/"):
            said: dict[str, Any] = {"label": label, "title": told.title, "message": shown(told.message)}
            if isinstance(error, EntryChanged):
                said["entries"] = error.entries
            return JSONResponse(said, status, HEADERS | later)
        # Not request.url, which needs a Host header that can be parsed.
        came = request.scope["path"].removeprefix(self.context.settings.root_path).removeprefix(self._prefix)
        if isinstance(error, Unauthenticated) and request.method in ("GET", "HEAD"):
            return self.redirect(f"/sign-in?next={quote(came)}")
        asked = {"here": f"{self.path}{came}", "choices": getattr(error, "choices", ())}
        page = self.page(request, "trouble.html.j2", status, trouble=told, **asked)
        page.headers.update(later)
        return page


class _Page(Response):
    """A page that is yet to be rendered: that is done in a thread, in one place for all."""

    def __init__(self, render: Callable[[], str], status: int) -> None:
        super().__init__(b"", status, HEADERS, "text/html")
        self._render = render

    async def rendered(self) -> Response:
        """The page with its content."""
        html = await blocking(lambda: self._render().encode("utf-8", "replace"))
        self.body = html
        self.headers["Content-Length"] = str(len(html))
        return self


def _static_files() -> dict[str, tuple[bytes, str]]:
    """Content and version of each static file, by name."""
    found = {}
    for each in files("purport.ui").joinpath("static").iterdir():
        content = each.read_bytes()
        found[each.name] = content, hashlib.sha256(content).hexdigest()[:12]
    return found


def entrance(site: Site) -> APIRouter:
    """Sign-in and sign-out, and static files."""
    routes = site.routes()

    @routes.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        return site.static(name)

    @routes.get("/sign-in")
    async def sign_in_page(request: Request) -> Response:
        return site.page(request, "sign_in.html.j2", next=_own(request.query_params.get("next", "")), problem="")

    @routes.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        form = await read_form(request, _MOST_KEY_BYTES)
        following = _own(form.value("next"))
        response = site.redirect(following)
        try:
            await site.sessions.sign_in(request, form.value("key"), response)
        except Unauthenticated as error:
            return site.page(request, "sign_in.html.j2", 401, next=following, problem=str(error))
        return response

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        await site.visitor(request)
        response = site.redirect("/sign-in")
        site.sessions.sign_out(request, response)
        return response

    return routes


def rest(site: Site) -> APIRouter:
    """Every other path below ``/ui``: a page that says so."""
    routes = site.routes()

    @routes.get("/{path:path}")
    async def unknown(request: Request, path: str) -> Response:
        raise PathUnknown("There is no such page. It may have been deleted, or the address is misspelt.")

    return routes


def _own(path: str) -> str:
    """``path`` if it lies in the app, or the first page: a link must not lead a person who signs in elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else ""
