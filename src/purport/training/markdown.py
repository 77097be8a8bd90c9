"""Puts strings of any origin into Markdown (CommonMark, and the tables of GitHub) so that they show as they are."""

from __future__ import annotations

import re

from ..wording import printable

# Characters that can start markup; an underscore inside a word cannot.
_MARKUP = re.compile(r"[\\`*\[\]<>|&~$]|(?<![^\W_])_|_(?![^\W_])")


def prose(text: str) -> str:
    """``text`` as words of a sentence."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", _one_line(text))


def code(text: str) -> str:
    """``text`` as a code span, with as many backticks around it as it needs."""
    inner = _one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", inner)), default=0))
    pad = " " if inner[:1] in ("`", " ") or inner[-1:] in ("`", " ") else ""
    return f"{fence}{pad}{inner}{pad}{fence}"


def code_cell(text: str) -> str:
    """:func:`code` for a table, where a bar ends a cell even in a code span."""
    return code(text).replace("|", "\\|")


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
