"""The command line, in whatever environment this is."""

import json
from typing import Any

import typer.main
from typer.testing import CliRunner

from purport.cli.main import app


def paths(command: Any, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of ``command`` and of every command below it."""
    below = getattr(command, "commands", {})  # of a group
    return [before, *(path for name, each in below.items() for path in paths(each, (*before, name)))]


def check_commands() -> None:
    """Every command shows its help; options, arguments and wrong ones are understood."""
    found = paths(typer.main.get_command(app))
    assert ("serve",) in found and ("doctor", "apply") in found, found
    for path in found:
        shown = CliRunner().invoke(app, [*path, "--help"])
        assert shown.exit_code == 0 and "Usage:" in shown.output, (path, shown.output, shown.exception)
    asked = CliRunner().invoke(
        app, ["predict", "atis", "--json", "--top-k", "2", "flights to boston", "fares to denver"]
    )
    answers = [json.loads(line) for line in asked.output.splitlines()]
    assert asked.exit_code == 0 and [answer["labels"] for answer in answers] == [["flight"], ["airfare"]], asked.output
    assert all(len(answer["intents"]) == 2 for answer in answers), answers
    assert CliRunner().invoke(app, ["--version"]).output.startswith("purport ")
    assert CliRunner().invoke(app, ["predict", "--no-such-option"]).exit_code == 2
