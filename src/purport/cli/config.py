"""``purport config``."""

from __future__ import annotations


def config() -> None:
    """Show each setting of the server, its value, and where the value came from.

    A flag wins over the environment, the environment over purport.toml in this directory, that over the
    default. Secrets are hidden.

    Examples:

        purport config

        PURPORT_PORT=9000 purport config
    """
    from rich.table import Table

    from ..settings import origins
    from .console import out

    table = Table("setting", "value", "from", "what it is")
    for origin in origins():
        table.add_row(origin.name, origin.value, origin.source, origin.description)
    out.print(table)
