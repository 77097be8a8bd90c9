"""Pages: sections of text, tables and figures, written as one self-contained HTML file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from pydantic import BaseModel

from ..files import updating
from ..wording import DASH, printable
from ..wording import percent as percent
from .figures import Figure

HTML_FILE = "index.html"
FACTS_FILE = "facts.json"
FIGURES = "figures"
_BEFORE_SIGN = re.compile(r"(?<=\d) %")
_SMALL = 1e-3  # smaller numbers are shown with four significant digits


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind = "text"


@dataclass(frozen=True)
class Notice:
    """A highlighted paragraph: ``level`` is ``error``, ``warning``, ``info`` or ``good``."""

    level: str
    text: str
    kind = "notice"


@dataclass(frozen=True)
class Table:
    """Rows of cells. Numbers are right-aligned, with as many decimals as the column needs.

    ``folded`` collapses the table under its title.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    folded: bool = False
    kind = "table"

    @cached_property
    def numeric(self) -> list[bool]:
        """Which columns contain only numbers, percentages or dashes."""
        return [_is_numeric([row[at] for row in self.rows]) for at in range(len(self.columns))]

    @cached_property
    def decimals(self) -> list[int | None]:
        """The decimals that each column of fractions is shown with; ``None`` for any other column."""
        return [_decimals([row[at] for row in self.rows]) for at in range(len(self.columns))]

    def cells(self) -> Iterator[list[tuple[str, bool]]]:
        """The text of each cell, and whether it is right-aligned."""
        for row in self.rows:
            columns = zip(row, self.numeric, self.decimals, strict=True)
            yield [(cell(value, decimals), number) for value, number, decimals in columns]


Block = Text | Notice | Table | Figure


def _is_numeric(values: Sequence[Any]) -> bool:
    shown = [value for value in values if value is not None and value != DASH]
    return all(isinstance(value, int | float) or (isinstance(value, str) and value.endswith(" %")) for value in shown)


def _decimals(values: Sequence[Any]) -> int | None:
    shown = [value for value in values if value is not None]
    if not shown or not all(isinstance(value, float) for value in shown):
        return None
    return max(len(cell(value).partition(".")[2]) for value in shown if abs(value) >= _SMALL or not value)


@dataclass(frozen=True)
class Section:
    """A heading and the blocks under it."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """The fragment that links to this section."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


@dataclass(frozen=True)
class Page:
    """The result of a command. ``headline`` has (name, value) pairs for the top; ``facts`` become the JSON file."""

    title: str
    subtitle: str
    headline: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    facts: BaseModel
    command: str = ""
    notices: Sequence[Notice] = field(default_factory=tuple)

    def write(self, directory: Path) -> Path:
        """Write ``index.html``, ``facts.json`` and ``figures/``, all or none; return the path of the HTML file."""
        with updating(directory) as partial:
            self._write(partial)
            written = {file.name for file in (partial / FIGURES).iterdir()}
        for stale in (directory / FIGURES).iterdir():
            if stale.suffix in (".svg", ".png") and stale.name not in written:
                stale.unlink()
        return directory / HTML_FILE

    def _write(self, directory: Path) -> None:
        (directory / FIGURES).mkdir()
        drawn: dict[str, str] = {}
        for section in self.sections:
            for block in section.blocks:
                if isinstance(block, Figure):
                    svg, png = block.render()
                    (directory / FIGURES / f"{block.name}.svg").write_text(svg, "utf-8")
                    (directory / FIGURES / f"{block.name}.png").write_bytes(png)
                    drawn[block.name] = base64.b64encode(svg.encode()).decode()
        (directory / FACTS_FILE).write_text(self.facts.model_dump_json(indent=1) + "\n", "utf-8")
        environment = Environment(
            loader=PackageLoader("purport.report"),
            autoescape=True,
            finalize=lambda value: _shown(value) if isinstance(value, str) else value,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        template = environment.get_template("page.html.j2")
        html = template.render(page=self, drawn=drawn, version=version("purport"))
        (directory / HTML_FILE).write_text(html, "utf-8")


def _shown(text: str) -> str:
    """``text`` without control characters, with a space before ``%`` at which no line ends."""
    return _BEFORE_SIGN.sub("\u00a0%", printable(text))


def cell(value: Any, decimals: int | None = None) -> str:
    """A value as table text: up to four decimals, or just ``decimals``; a dash for ``None``."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if value and abs(value) < _SMALL:
        return f"{value:.4g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if decimals is None else f"{value:,.{decimals}f}"
