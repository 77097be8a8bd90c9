"""``purport serve``."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    bundles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[[NAME=]BUNDLE]...",
            help="Bundles to serve: directories or shipped names. The first is the default model. Default: atis.",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Addresses to listen on, e.g. 127.0.0.1,::1; :: for all of both kinds. Default: 127.0.0.1."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one. Default: 8000.")] = None,
    unix_socket: Annotated[
        str | None, typer.Option(metavar="PATH", help="Unix socket to listen on instead of host and port.")
    ] = None,
    root_path: Annotated[
        str | None, typer.Option(metavar="PATH", help="Path prefix that a proxy strips, e.g. /purport.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes. Default: one per usable CPU.")] = None,
    device: Annotated[str | None, typer.Option(help="Device to run on, cpu or cuda. Default: cpu.")] = None,
    models_dir: Annotated[
        str | None,
        typer.Option(help="Directory whose bundles PUT /v1/models/NAME may load. Default: only those named here."),
    ] = None,
    reports_dir: Annotated[
        str | None, typer.Option(help="Directory with pages of evaluate, explore and doctor to show at /ui.")
    ] = None,
    review_dir: Annotated[
        str | None,
        typer.Option(
            help="Directory with review queues and fix plans of /ui. Default: purport/review in your data directory."
        ),
    ] = None,
    require_signature: Annotated[
        str | None, typer.Option(help="File with a public key: load only bundles signed by it (purport sign).")
    ] = None,
    cache: Annotated[
        int | None, typer.Option(help="Number of answers to cache for repeated texts. Default: 10000.")
    ] = None,
) -> None:
    """Serve bundles over HTTP: GET /ready, POST /intent, and more under /v1.

    Settings can also come from PURPORT_* environment variables or purport.toml; `purport config` lists them all.

    Examples:

        purport serve

        purport serve bundles/mine --host 0.0.0.0 --port 9000

        purport serve now=bundles/mine next=bundles/candidate --models-dir bundles --workers 4

        curl -s localhost:8000/intent -H 'Content-Type: application/json' -d '{"text": "flights to boston"}'
    """
    import os
    from contextlib import suppress

    from ..serving.stderr import patient_stderr
    from .signals import Stopped

    # Uvicorn raises the signal again once everything is answered: a server that stops when asked has succeeded.
    with patient_stderr(), suppress(Stopped):
        from ..errors import FlagInvalid
        from ..optional import needs
        from ..settings import load, require_meant
        from .console import err

        flags = {"host": host, "port": port, "unix_socket": unix_socket, "root_path": root_path}
        flags |= {"workers": workers, "device": device, "cache": cache, "review_dir": review_dir}
        flags |= {"models_dir": models_dir, "reports_dir": reports_dir, "require_signature": require_signature}
        settings = load({"bundle": ",".join(bundles) if bundles else None, **flags})
        for flag in ("host", "port"):
            if settings.unix_socket and flags[flag] is not None:
                raise FlagInvalid(
                    f"--{flag} has no effect beside the Unix socket {settings.unix_socket}; leave one out"
                )
        unread = require_meant(os.environ)
        with needs("serving", "serve"):
            from ..serving.exposure import warnings
            from ..serving.server import serve as run
        for warning in (*unread, *warnings(settings, os.environ)):
            err.print(f"warning: {warning}")
        run(settings, announce=lambda where: err.print(f"serving {settings.bundle} on {where} (press Ctrl-C to stop)"))
