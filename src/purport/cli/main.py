"""The ``purport`` command: its subcommands, and errors as messages and exit codes."""

from __future__ import annotations

import sys

import typer

from . import classify, compare, config, data, doctor, evaluate, explore, predict, serve, train

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


for _command in (train.train, evaluate.evaluate, predict.predict, serve.serve, classify.classify, data.data,
                 compare.compare, explore.explore, config.config):  # fmt: skip
    app.command()(_command)
app.add_typer(doctor.app, name="doctor")


def run() -> None:
    """Entry point of the ``purport`` command."""
    from ..errors import PurportError
    from ..wording import printable
    from .exits import INTERRUPTED, IO_ERROR, exit_code

    try:
        app()
    except BrokenPipeError:  # whatever read our output has exited
        sys.stderr.close()
        sys.exit(1)
    except (PurportError, OSError) as error:
        typer.secho("error: ", fg=typer.colors.RED, bold=True, err=True, nl=False)
        typer.echo(printable(str(error)), err=True)
        sys.exit(exit_code(error) if isinstance(error, PurportError) else IO_ERROR)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
