"""The ``purport`` command: its subcommands, and errors as messages and exit codes."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

import typer

from ..errors import PurportError
from ..isolation import isolate
from ..wording import printable
from . import (
    classify,
    compare,
    config,
    data,
    doctor,
    evaluate,
    explain,
    explore,
    init,
    plan,
    predict,
    review,
    serve,
    sign,
    teach,
    train,
    ui,
    verify,
)

app = typer.Typer(
    name="purport",
    help="Train, evaluate, bundle and serve intent classifiers that people can trust in production.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _main(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from .. import __version__

        typer.echo(f"purport {__version__}")
        raise typer.Exit


for _command in (init.init, train.train, evaluate.evaluate, predict.predict, explain.explain, serve.serve,
                 classify.classify, data.data, compare.compare, verify.verify, teach.teach, sign.sign, plan.plan,
                 explore.explore, review.review, ui.ui, config.config):  # fmt: skip
    app.command()(_command)
app.add_typer(doctor.app, name="doctor")


def run() -> None:
    """Entry point of the ``purport`` command."""
    from .signals import listen

    isolate()
    _open_streams()
    listen()
    status = _status()
    # Where nothing can be written, Python would complain once more when it exits.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(status)


def _status() -> int:
    """Run the command; its exit code."""
    from .signals import Stopped

    try:
        status = _invoke()
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whatever read our output has exited
        return 1
    except Stopped as stopped:
        _tell(str(stopped))
        return stopped.exit_code
    except Exception as error:
        from .exits import exit_code, message

        if os.environ.get("PURPORT_DEBUG") and not isinstance(error, PurportError | OSError):
            raise
        _tell(message(error), prefix="error: ")
        return exit_code(error)


def _invoke() -> int:
    try:
        app()
    except SystemExit as end:  # how Typer returns
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _tell(message: str, prefix: str = "") -> None:
    with suppress(OSError, ValueError):
        typer.secho(prefix, fg=typer.colors.RED, bold=True, err=True, nl=False)
        typer.echo(printable(message), err=True)


def _open_streams() -> None:
    """Make sure that the standard streams are open and can show every character.

    A file that is opened while one is closed would take its place, and get what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.fstat(number)
                continue
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
