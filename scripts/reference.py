"""Fill every `<!-- generated: NAME -->` block of the documentation from the code and from committed results.

`python scripts/reference.py` writes; with `--check` it only says which pages are not current, and exits with 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from documented import api, measured, models

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"(?P<start><!-- generated: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- /generated -->)", re.S)
_MARK = re.compile(r"^<!-- (?P<end>/?)generated\b.*", re.M)


def decisions() -> str:
    """The records, each by its title."""
    titles = {path.name: path.read_text("utf-8").splitlines()[0] for path in sorted(DOCS.glob("decisions/0*.md"))}
    return "\n".join(f"- [{title.removeprefix('# ')}]({name})" for name, title in titles.items())


def cli() -> str:
    """What Typer's own generator says of the commands."""
    command = [sys.executable, "-m", "typer", "purport.cli.main", "utils", "docs", "--name", "purport"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    text = text.partition("## `purport train`")[1] + text.partition("## `purport train`")[2]
    text = re.sub(r"\*\*Commands\*\*:\n\n(?:\* .*\n)+\n?", "", text)
    text = re.sub(r"\*\*Usage\*\*:\n\n```console\n\$ (.*)\n```", r"```text\n\1\n```", text)
    return re.sub(r"\* `--help`: .*\n", "", text).replace("  [required]", " Required.").rstrip()


BLOCKS: dict[str, Callable[[], str]] = {
    "cli": cli,
    "python": api.python,
    "http": models.http,
    "settings": models.settings,
    "errors-http": api.http_errors,
    "errors-exit": api.exit_codes,
    "errors-all": api.errors,
    "recipe": models.recipe,
    "manifest": models.manifest,
    "load": measured.load,
    "peers": measured.peers,
    "overload": measured.overload,
    "doctor-precision": measured.doctor_precision,
    "containers": measured.containers,
    "environments": measured.environments,
    "transcript-inference": lambda: measured.transcript("inference"),
    "transcript-training": lambda: measured.transcript("training"),
    "decisions": decisions,
}


def filled(page: str) -> str:
    """``page`` with each of its blocks made anew."""
    return _BLOCK.sub(lambda block: f"{block['start']}\n{BLOCKS[block['name']]()}\n\n{block['end']}", page)


def check_marks(page: str) -> None:
    """Each start has a name that is known, and its end before the next start.

    Raises:
        ValueError: with the line of the first mark that has not.
    """
    marks = list(_MARK.finditer(page))
    starts = {block.start(): block["name"] for block in _BLOCK.finditer(page)}
    for index, mark in enumerate(marks):
        line = page.count("\n", 0, mark.start()) + 1
        if bool(mark["end"]) != bool(index % 2):
            raise ValueError(f"line {line}: {mark[0]} where {'an end' if index % 2 else 'a start'} was expected")
        if not mark["end"] and starts.get(mark.start(), "") not in BLOCKS:
            raise ValueError(f"line {line}: {mark[0]} has no end, or there is no block of that name")
    if len(marks) % 2:
        raise ValueError(f"line {page.count(chr(10), 0, marks[-1].start()) + 1}: {marks[-1][0]} has no end")


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is not current")
    check = parser.parse_args().check
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        old = path.read_text("utf-8")
        try:
            check_marks(old)
        except ValueError as error:
            sys.exit(f"{path.relative_to(ROOT).as_posix()}: {error}")
        new = filled(old)
        if new != old:
            stale.append(path.relative_to(ROOT).as_posix())
            if not check:
                path.write_text(new, "utf-8")
    for name in stale:
        print(f"{name}: {'not current; run python scripts/reference.py' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
