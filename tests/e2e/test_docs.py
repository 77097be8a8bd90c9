"""Every code block of the README and the documentation works, in order, run as a reader runs it in a checkout."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import typer.main

from purport.cli.main import app

from .walkthrough import LANGUAGES, ROOT, Block, Walk, blocks, checked, commands, compare, hides_failure

PAGES = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "decisions"),
]
# Why a block may be left out, and how many blocks may be for that reason.
REASONS = {
    "installs packages": 9,
    "trains for minutes": 1,
    "trains an encoder": 1,
    "downloads an encoder": 2,
    "needs data or bundles of yours": 4,
    "asks a paid service": 4,
    "needs a language model": 2,
    "needs Docker": 8,
    "needs Kubernetes": 8,
    "starts what CI runs": 1,
    "waits for a browser": 1,
    "needs a running server": 1,
}
LEFT_OUT = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}:{block.line}")
    for page in PAGES
    for block in blocks(page)
    if block.kind == "not executed"
]
# They would run for hours, or run these tests again.
CONTRIBUTING = [
    pytest.param(block, id=f"CONTRIBUTING.md:{block.line}")
    for block in blocks(ROOT / "CONTRIBUTING.md")
    if block.language == "sh"
]
FOLLOWED = [page for page in PAGES if any(block.language in LANGUAGES for block in blocks(page))]


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_works_as_it_is_written(page: Path, tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    try:
        for block in blocks(page):
            if block.kind != "not executed":
                walk.run(block)
    finally:
        walk.stop()


def test_only_known_reasons_excuse_a_block_and_few_blocks_are_excused() -> None:
    reasons = Counter(block.values[0].what for block in LEFT_OUT)
    assert set(reasons) <= set(REASONS)
    assert {reason: count for reason, count in reasons.items() if count > REASONS[reason]} == {}


def test_every_shell_and_python_block_says_so() -> None:
    """A fence in another language would not be executed, and nobody would notice."""
    languages = {block.language for page in PAGES for block in blocks(page)}
    assert languages <= {"sh", "python", "pycon", "json", "text", "toml", "yaml", ""}


@pytest.mark.parametrize("block", [*LEFT_OUT, *CONTRIBUTING])
def test_a_block_that_is_not_executed_is_at_least_shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in commands(block.code):
        check_options(line)
        if target := re.match(r"make ([\w-]+)", line):
            assert re.search(rf"^{target[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.M), line


def check_options(line: str) -> None:
    """A command of ours has only options that it knows."""
    if not re.match(r"(\w+=\S+ +)*purport ", line):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer)
    while words and "=" in words[0]:
        words.pop(0)
    end = next((index for index, word in enumerate(words) if set(word) <= set("|&;<>")), len(words))
    group = typer.main.get_command(app)
    context = group.make_context("purport", words[1:end], resilient_parsing=True)
    name, command, rest = group.resolve_command(context, words[1:end])  # type: ignore[attr-defined]
    command.make_context(name, rest, parent=context)


def test_a_page_cannot_change_the_checkout(tmp_path: Path) -> None:
    before = (ROOT / "README.md").read_bytes()
    walk = Walk(tmp_path)
    walk.run(Block("sh", "echo changed > README.md; rm -r recipes", 1))
    walk.run(Block("toml", "name = 1", 1, "file", "pyproject.toml"))
    assert (ROOT / "README.md").read_bytes() == before and (ROOT / "recipes").is_dir()
    assert "name = 1" not in (ROOT / "pyproject.toml").read_text("utf-8").splitlines()


def test_the_walk_notices_what_is_not_so(tmp_path: Path) -> None:
    """Otherwise all of the above would pass whatever the pages say."""
    with pytest.raises(AssertionError, match="exit code 3"):
        Walk(tmp_path).run(Block("sh", "exit 3", 1))
    with pytest.raises(AssertionError, match="shows"):
        compare(Block("text", "two lines\n...\nmore", 1), "two lines\n")
    with pytest.raises(AssertionError):
        compare(Block("json", '{"a": [1.0, "..."]}', 1), '{"a": [1.1, 2]}')
    compare(Block("json", '{"a": [1.0, "..."]}', 1), 'before\n{"a": [1.0004, 2]}')
    with pytest.raises(AssertionError):
        exec(checked("(1, 2)  # (1, 3)"), {})
    with pytest.raises(Exception, match="No such option"):
        check_options("purport train recipe.toml --out bundle --epochs 3")


@pytest.mark.parametrize(
    "code", ["false && true", "false &", "false & true", "(false) && true", "false ||\\\n true", "x=$(false && true)"]
)
def test_a_shell_block_that_would_hide_a_failure_is_refused(code: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="hide a failure"):
        Walk(tmp_path).run(Block("sh", code, 1))


def test_a_shell_block_may_redirect_quote_and_comment() -> None:
    for code in (
        "ls 2>&1 | cat", "ls &> log", "ls |& cat", "curl 'a?b&c'", 'echo "a && b"', "ls  # it's a && b",
        "cat > it <<'END'\nit's a && b &\nEND\nls", "(ls); ls",
    ):  # fmt: skip
        assert not hides_failure(code), code


@pytest.mark.parametrize(
    "code",
    [
        "x: int = 2  # 3", "x = 2  # 3", "x = 2 # 3", "x, y = 2, 3  # (2, 4)", "x = 1\nx += 1  # 3", "2 == 3",
        "not 2", "2 == 2 and 2 == 3", "if True:\n    2  # 3", "(\n    2\n)  # 3", "2 == 2  # False",
    ],
)  # fmt: skip
def test_a_python_block_that_says_what_is_not_so_fails(code: str) -> None:
    with pytest.raises(AssertionError):
        exec(checked(code), {})


def test_a_python_block_that_says_what_is_so_passes() -> None:
    exec(checked("x: int = 2  # 2\nx == 2\nx  # the number 3\nnot (x == 3 or x == 4)\nx == 3  # False"), {})


def test_an_example_is_executed(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    walk.run(Block("pycon", ">>> 1 + 1\n2\n", 1))
    walk.run(Block("pycon", ">>> Classifier.__name__\n'Classifier'\n", 1, "generated"))
    with pytest.raises(AssertionError, match="Expected"):
        walk.run(Block("pycon", ">>> 1 + 1\n3\n", 1))
    with pytest.raises(AssertionError, match="an example without a line"):
        walk.run(Block("pycon", "1 + 1\n3\n", 1))


@pytest.mark.parametrize(
    "page",
    [
        "<!-- generated: cli -->\n\n```sh\nfalse\n```\n",
        "<!-- generated: cli -->\n\n<!-- generated: cli -->\n\n<!-- /generated -->\n",
        "<!-- /generated -->\n",
    ],
)
def test_a_generated_block_without_its_end_hides_no_other_block(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(page, "utf-8")
    with pytest.raises(AssertionError, match="generated block"):
        blocks(tmp_path / "page.md")


def test_examples_of_the_reference_are_among_the_blocks() -> None:
    assert "pycon" in {block.language for block in blocks(ROOT / "docs/reference/python.md")}
