"""``purport ui``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def ui(
    bundles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[[NAME=]BUNDLE]...", help="Bundles to show: directories or shipped names. Default: atis."
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of this machine; 0 picks a free one. Default: 8000.")] = None,
    review_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory with review queues and fix plans. Default: purport/review in your data directory."
        ),
    ] = None,
    reports_dir: Annotated[
        Path | None, typer.Option(help="Directory with pages of evaluate, explore, compare and doctor to show.")
    ] = None,
    teach: Annotated[
        bool,
        typer.Option("--teach", help="Allow teaching the bundles, whose files change. Prints a key to sign in with."),
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Worker processes. Default: one.")] = None,
) -> None:
    """Show the web app on this machine: try a model, classify files, review texts, go through a fix plan.

    Starts a server that only this machine reaches, and prints the address to open in a browser. Every server of
    `purport serve` has the same pages at /ui.

    Examples:

        purport ui atis

        purport ui bundles/tickets --review-dir queues --port 9000

        purport ui bundles/tickets --teach
    """
    import os
    import secrets
    from contextlib import suppress

    from ..serving.stderr import patient_stderr
    from .signals import Stopped

    with patient_stderr(), suppress(Stopped):
        from ..optional import needs
        from ..settings import load, require_meant
        from .console import err

        flags = {"bundle": ",".join(bundles) if bundles else None, "host": "127.0.0.1", "port": port}
        flags |= {"review_dir": None if review_dir is None else str(review_dir), "workers": workers or 1}
        flags |= {"reports_dir": None if reports_dir is None else str(reports_dir)}
        key = secrets.token_urlsafe(18) if teach else ""
        flags |= {"api_keys": f"{key}@classify@models"} if teach else {}
        settings = load(flags | {"access_log": False, "log_level": "warning", "drain_seconds": 0})
        for warning in require_meant(os.environ):
            err.print(f"warning: {warning}")
        with needs("the web app", "ui"):
            import jinja2  # noqa: F401
            import python_multipart  # noqa: F401

            from ..serving.server import serve as run
        sign_in = f" and sign in with the key {key}" if teach else ""
        run(settings, announce=lambda where: err.print(f"open {where}/ui in a browser{sign_in} (press Ctrl-C to stop)"))
