"""``/``: says to a person who finds the server what it is and how to ask it."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from ... import __version__, registry
from ...errors import Forbidden, Unauthenticated
from ..access import Permission
from ..context import AppContext
from ..schema import error_responses
from .health import prefers_json

_HEADERS = {
    # Nothing is loaded and no script runs, whatever a name of a model holds; what is seen depends on the key.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]+")
_EXAMPLE = "Write a message here"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{1,39}")
_STYLE = """
:root { color-scheme: light dark;
  --ink: #1f2430; --soft: #5b6472; --paper: #fff; --card: #f6f7f9; --line: #dfe3e8; --accent: #2563b8 }
@media (prefers-color-scheme: dark) { :root {
  --ink: #dfe3ea; --soft: #9aa4b2; --paper: #14171c; --card: #1c2027; --line: #343b46; --accent: #7fb0f5 } }
body { margin: 0 auto; max-width: 44rem; padding: 28px 16px 48px; font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: break-word }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 } h2 { font-size: 1.1rem; margin: 32px 0 8px } p { margin: 8px 0 }
.soft, th { color: var(--soft) } a { color: var(--accent) } .n { text-align: right }
code { font: .86em/1.5 ui-monospace, "DejaVu Sans Mono", monospace }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .92rem }
th, td { text-align: left; vertical-align: top; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600 } th:last-child, td:last-child { padding-right: 0 } td:first-child { overflow-wrap: anywhere }
ul { margin: 8px 0; padding: 0; list-style: none } li { margin: 4px 0 }
"""


class ModelAtHome(BaseModel):
    """A model, briefly; ``/v1/models`` has its labels."""

    name: str
    bundle: str = Field(description="Id of the bundle in use")
    task: str
    labels: int = Field(description="Number of labels")


class Home(BaseModel):
    """What a server says of itself."""

    service: str = "purport"
    version: str = __version__
    ready: bool = Field(description="Whether it can answer, as `/ready` says")
    models: list[ModelAtHome] | None = Field(description="The default first; `null` if the client may not see them")
    paths: dict[str, str] = Field(description="Where to go on")


def router(context: AppContext) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["health"])
    page: dict[str, Any] = {"schema": {"type": "string"}}

    @routes.get(
        "/",
        response_class=Response,
        responses={200: {"model": Home, "content": {"text/html": page}}, **error_responses(429)},
    )
    async def home(request: Request) -> Response:
        """A page for people that says what this server is: HTML, or JSON if the client prefers it."""
        found = await _found(request, context)
        accept = request.headers.get("accept", "")
        if prefers_json(accept, "text/html"):
            return JSONResponse(found.model_dump(), headers=_HEADERS)
        example = _EXAMPLE if found.models is None else _about(context)
        return Response(_page(found, _base(request, context), example), media_type="text/html", headers=_HEADERS)

    return routes


async def _found(request: Request, context: AppContext) -> Home:
    try:
        await context.access.identify(request.scope, Permission.CLASSIFY)
    except (Unauthenticated, Forbidden):
        models = None
    else:
        models = [
            ModelAtHome(name=each.name, bundle=manifest.id, task=manifest.task, labels=len(manifest.labels))
            for each in context.store.all()
            for manifest in [each.current.bundle.manifest]
        ]
    root = context.settings.root_path
    offered = set(registry.names("routes"))
    paths = {name: f"{root}/{path}" for name, path in _PATHS.items() if name != "ui" or name in offered}
    return Home(ready=context.store.ready, models=models, paths=paths)


_PATHS = {"ui": "ui", "api": "openapi.json", "ready": "ready", "metrics": "metrics", "models": "v1/models"}
_MEANINGS = {
    "ui": "the web app: review texts and fix plans",
    "api": "every path, with its bodies and answers (OpenAPI)",
    "ready": "whether the server can answer",
    "metrics": "counters for Prometheus",
    "models": "the models with their labels",
}


def _base(request: Request, context: AppContext) -> str:
    """The address of the server as the client knows it."""
    host = request.headers.get("host", "")
    known = host if _HOST.fullmatch(host) else "localhost"
    return f"{request.scope['scheme']}://{known}{context.settings.root_path}"


def _about(context: AppContext) -> str:
    """A text for the default model: about its first label that can be written in a shell as it is."""
    labels = [label for each in context.store.all()[:1] for label in each.current.bundle.manifest.labels]
    plain = next(filter(_PLAIN.fullmatch, labels), None)
    return f"I have a question about {re.sub('[_-]+', ' ', plain)}" if plain else _EXAMPLE


def _page(found: Home, base: str, example: str) -> str:
    text = json.dumps({"text": example})
    key = "" if found.models is not None else " \\\n     -H 'Authorization: Bearer KEY'"
    curl = f"curl {base}/intent \\\n     -H 'Content-Type: application/json'{key} \\\n     -d '{text}'"
    state = "It is ready." if found.ready else "It is <b>not ready</b>: no worker has loaded the model yet."
    links = "".join(
        f'<li><a href="{escape(path)}">{escape(path)}</a> <span class="soft">{_MEANINGS[name]}</span></li>'
        for name, path in found.paths.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Purport</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head><body>
<h1>Purport</h1>
<p>This server says what somebody means: it classifies messages by intent. {state}
<span class="soft">Version {escape(found.version)}</span></p>
<h2>Models</h2>
{_models(found.models)}
<h2>How to ask</h2>
<pre><code>{escape(curl)}</code></pre>
<p>The answer is the three most likely intents, with calibrated probabilities.</p>
<h2>Where to go on</h2>
<ul>{links}</ul>
</body></html>
"""


def _models(models: list[ModelAtHome] | None) -> str:
    if models is None:
        return (
            "<p>Clients need a key. Send it as <code>Authorization: Bearer KEY</code>. The models are listed for a key "
            "with the permission <code>classify</code>.</p>"
        )
    if not models:
        return "<p>None is loaded yet.</p>"
    rows = "".join(
        f"<tr><td>{escape(each.name)}{' (default)' * (not number)}</td><td>{escape(each.task)}</td>"
        f'<td><code>{escape(each.bundle)}</code></td><td class="n">{each.labels:,}</td></tr>'
        for number, each in enumerate(models)
    )
    return f'<table><tr><th>name</th><th>task</th><th>bundle</th><th class="n">labels</th></tr>{rows}</table>'
