"""Writes the table in `results/out_of_scope/README.md` from the JSON files beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "results" / "out_of_scope"
MARK = "<!-- table: python scripts/out_of_scope_table.py -->"
SCORES = ("in_scope", "probability", "similarity")
HEAD = (
    "bundle", "MB", "right", "one typo", "three typos", "calibration error", "strangers",
    *(f"AUROC {score}" for score in SCORES), *(f"found {score}" for score in SCORES),
)  # fmt: skip


def main() -> None:
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for path in sorted(FOLDER.glob("*.json")):
        lines += rows(path.stem, json.loads(path.read_text("utf-8")))
    readme = FOLDER / "README.md"
    readme.write_text(f"{readme.read_text('utf-8').split(MARK)[0]}{MARK}\n\n" + "\n".join(lines) + "\n", "utf-8")


def rows(name: str, found: dict[str, Any]) -> list[str]:
    """A line for each kind of stranger, or one without any."""
    head = ("megabytes", "accuracy", "accuracy_typo_1", "accuracy_typo_3", "expected_calibration_error")
    start = [name, *(str(found[key]) for key in head)]
    strangers = {key: value for key, value in found.items() if isinstance(value, dict)}
    lines = []
    for title, each in strangers.items() or [("", {})]:
        cells = [str(each[score][what]) if each else "" for what in ("auroc", "found") for score in SCORES]
        lines.append(f"| {' | '.join([*start, title, *cells])} |")
    return lines


if __name__ == "__main__":
    main()
