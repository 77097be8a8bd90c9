"""``purport serve``."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    bundle: Annotated[
        str | None, typer.Argument(help="Directory of a bundle, or the name of a shipped one. Default: atis.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one. Default: 8000.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Default: cpu.")] = None,
) -> None:
    """Serve a bundle over HTTP: GET /ready and POST /intent.

    Every setting also comes from PURPORT_* variables or purport.toml; `purport config` lists them all.

    Examples:

        purport serve

        purport serve bundles/mine --host 0.0.0.0 --port 9000

        curl -s localhost:8000/intent -H 'Content-Type: application/json' -d '{"text": "flights to boston"}'
    """
    from ..errors import DependencyMissing
    from ..settings import load
    from .console import report

    settings = load({"bundle": bundle, "host": host, "port": port, "device": device})
    try:
        from ..serving.server import serve as run
    except ModuleNotFoundError as error:
        raise DependencyMissing(f"serving ({error.name})", "serve") from None
    run(settings, announce=lambda url: report(f"purport serves {settings.bundle} on {url} (Ctrl-C stops it)"))
