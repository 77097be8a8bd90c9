"""The documentation is current and whole: generated blocks, navigation, links, and what each page is for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import reference
from markdown_it import MarkdownIt

from purport.settings import ServerSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SOURCE = ROOT / "src" / "purport"


def test_every_threat_names_what_shows_its_defence() -> None:
    page = (DOCS / "explanation" / "security.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", page.partition("## What is defended")[2], re.M)[2:]
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(rows) > 70
    for threat, defence, shown in rows:
        named = re.findall(r"`(test_\w+\.py)`", shown)
        assert defence.strip() and (named or shown.startswith("none; ")), threat
        assert set(named) <= there, threat


def test_what_is_made_from_the_code_is_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("text\n<!-- generated: cli -->\ntext\n", "line 2: <!-- generated: cli --> has no end"),
        (
            "<!-- generated: cli -->\n\n<!-- generated: http -->\n<!-- /generated -->\n",
            "line 3: .* an end was expected",
        ),
        ("<!-- generated: cli -->\n<!-- /generated -->\n<!-- /generated -->\n", "line 3: .* a start was expected"),
        ("<!-- generated: cli -->\n<!-- /generated-->\n", "line 1: .* has no end"),
        ("<!-- generated: cil -->\n<!-- /generated -->\n", "line 1: .* no block of that name"),
    ],
)
def test_a_generated_block_needs_a_known_name_and_an_end(page: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reference.check_marks(page)
    reference.check_marks("<!-- generated: cli -->\n<!-- /generated -->\n")


def test_the_command_names_the_page_and_line_of_an_unclosed_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text("<!-- generated: cli -->\n", "utf-8")
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["reference.py", "--check"])
    with pytest.raises(SystemExit, match=r"page\.md: line 1: <!-- generated: cli --> has no end"):
        reference.main()


def _entries(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from _entries(value) if isinstance(value, list) else [value]


def test_the_navigation_has_every_page_once_and_no_other() -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"]
    assert sorted(_entries(nav)) == sorted(path.relative_to(DOCS).as_posix() for path in PAGES)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda page: page.name)
def test_every_link_and_image_leads_somewhere(page: Path) -> None:
    for token in MarkdownIt().enable("table").parse(page.read_text("utf-8")):
        for child in token.children or []:
            target = str(child.attrs.get("href") or child.attrs.get("src") or "").partition("#")[0]
            if target and not re.match(r"\w+:", target):
                assert (page.parent / target).exists(), target
                assert DOCS not in page.parents or DOCS in (page.parent / target).resolve().parents, (
                    f"{target} is outside docs/: the site does not have it"
                )


def test_no_image_is_large_and_each_is_shown() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    for image in (path for path in (DOCS / "images").rglob("*") if path.is_file()):
        name = image.relative_to(DOCS).as_posix()
        assert image.stat().st_size < 200_000 and f"{name})" in text, name


def test_every_page_says_first_what_it_is_for() -> None:
    for page in PAGES:
        if page.name == "architecture.md" or (page.parent.name == "decisions" and page.name != "index.md"):
            continue
        first = page.read_text("utf-8").split("\n\n")[1]
        assert re.match(r"(This page|This tutorial|These pages) \w+", first), f"{page.name}: {first}"


def test_every_variable_that_a_page_names_is_read() -> None:
    """A misspelled PURPORT_* variable is ignored, so that nobody would notice."""
    read = {f"PURPORT_{name.upper()}" for name in ServerSettings.model_fields}
    read |= set(re.findall(r"PURPORT_[A-Z_]+[A-Z]", "".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))))
    for page in [ROOT / "README.md", *PAGES]:
        assert set(re.findall(r"PURPORT_[A-Z_]+[A-Z]", page.read_text("utf-8"))) <= read, page.name
