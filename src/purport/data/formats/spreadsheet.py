"""Makes cells of our own CSV and TSV files safe to open in a spreadsheet, which takes some for formulas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

ANSWER_COLUMNS = ("labels", "error"), ("labels", "confidence", "likeliest")
"""Every file of answers (``purport predict``, ``purport label``) has these columns, so that it is known again."""
REVIEWED_COLUMNS = ("text", "label", "reviewed")
"""Every table that people reviewed (``purport review``) has these columns."""
# After https://owasp.org/www-community/attacks/CSV_Injection, with the apostrophes that escape it.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


class Number(str):
    """A cell that is a number: no formula, though it may start with a sign."""

    __slots__ = ()


def column_cell(value: Any) -> Any:
    """``value`` of a column that has no texts to classify; a string that is a number becomes a :class:`Number`."""
    return Number(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def is_ours(columns: Iterable[str]) -> bool:
    """Whether a table with these columns has answers or reviewed rows, whose cells are escaped."""
    present = set(columns)
    return any(present.issuperset(own) for own in (*ANSWER_COLUMNS, REVIEWED_COLUMNS))


def escape(cell: str) -> str:
    """``cell`` with an apostrophe in front if a spreadsheet could take it for a formula; :func:`unescape` removes it.

    Cells that start with apostrophes and such a sign get one more, so that every cell comes back as it was.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def escaped(row: Mapping[str, Any]) -> dict[str, Any]:
    """``row`` with its strings escaped; numbers, and a :class:`Number`, stay."""
    return {
        name: escape(value) if isinstance(value, str) and not isinstance(value, Number) else value
        for name, value in row.items()
    }


def unescape(cell: str) -> str:
    """The cell that :func:`escape` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def unescaped(row: Mapping[str, str]) -> dict[str, str]:
    """The row that :func:`escaped` was given."""
    return {name: unescape(value) for name, value in row.items()}
