"""What is wrong with a file, for somebody at a page: what they can do there, instead of options of a command."""

from __future__ import annotations

import re

from ..wording import sentence

FIELD = "Column with the texts, if it has an unusual name"
"""The field of *Batch* and *Compare* for the name of the column of the texts."""
_IN_FIELD = f'write the name of the column into the field "{FIELD}" (under "More choices")'
_RENAME = 'rename the column of the {}s to "{}" in the file'
_COLUMN = re.compile(
    r"name (?:one|the (?:text|label) column) with --(text|label)-column \(\w+ in a recipe\)"
    r"(?:, after renaming it if two have the same name)?"
)
_HEADER = re.compile(r"pass --text-column .* if it is a header, --no-header if it is a row \(.* in a recipe\)")
_OTHERS = (
    (re.compile(r", or name its encoding with --(?:plan-)?encoding.*"), ""),
    (re.compile(r"pass --no-header \(.*?\)"), "put a row of names before it"),
    (re.compile(r"if it has them, name it with --label-column"), f"if it has them, {_RENAME.format('label', 'label')}"),
)


def said_on_page(problem: Exception | str, title: str, *, field: bool = False) -> str:
    """``problem`` with the file ``title`` as a sentence; ``field``: the page has one for the column of the texts."""
    said = str(problem).rstrip(".")
    rename = _RENAME.format("text", "text")
    said = _HEADER.sub(
        f"{_IN_FIELD if field else rename} if it is a header; if it is a row, put a row of names before it", said
    )
    said = _COLUMN.sub(
        lambda found: _IN_FIELD if field and found[1] == "text" else _RENAME.format(found[1], found[1]), said
    )
    for option, remedy in _OTHERS:
        said = option.sub(remedy, said)
    return f"{said}." if said.startswith(title) else sentence(said)
