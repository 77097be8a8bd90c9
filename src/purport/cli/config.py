"""``purport config``."""

from __future__ import annotations


def config() -> None:
    """Show every server setting, its value, and where the value comes from.

    Order of precedence: command-line flag, PURPORT_* environment variable, purport.toml in the current
    directory, default. Secrets are hidden.

    Examples:

        purport config

        PURPORT_PORT=9000 purport config
    """
    import os

    from rich.table import Table

    from ..settings import origins, unread_variables
    from .console import err, out

    table = Table("setting", "value", "from", "description")
    for origin in origins():
        table.add_row(origin.name, origin.value, origin.source, origin.description)
    out.print(table)
    for variable in unread_variables(os.environ):
        err.print(f"warning: {variable}")
