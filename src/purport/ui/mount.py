"""Mounts the web app at ``/ui``; where the packages of the extra ``ui`` are missing, says what to install."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec

from fastapi import APIRouter, Request, Response

from ..installation import install_command
from ..serving.context import AppContext

PREFIX = "/ui"
_NEEDED = ("jinja2", "python_multipart")


def router(context: AppContext) -> APIRouter:
    """The routes of the web app. They are not in the API's description: they are for people."""
    if not all(map(find_spec, _NEEDED)):
        return _missing()
    from .parts import web_app

    return web_app(context, PREFIX)


def _missing() -> APIRouter:
    """One page, wherever somebody goes below ``/ui``: what to install."""
    routes = APIRouter(prefix=PREFIX, include_in_schema=False)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Purport</title><link rel="icon" href="data:,"></head><body>
<h1>The web app is not installed</h1>
<p>Stop the server, run this command, and start the server again:</p>
<pre><code>{escape(install_command("ui"))}</code></pre>
</body></html>
"""

    async def install(request: Request) -> Response:
        headers = {"Content-Security-Policy": "default-src 'none'; img-src data:; frame-ancestors 'none'"}
        return Response(page, 501, headers | {"Cache-Control": "no-store"}, "text/html")

    routes.add_api_route("", install, methods=["GET"])
    routes.add_api_route("/{path:path}", install, methods=["GET"])
    return routes
