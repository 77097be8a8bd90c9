"""A page of the documentation as a reader follows it: its code blocks, run in order, in a directory of their own."""

from __future__ import annotations

import ast
import doctest
import io
import json
import math
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from markdown_it import MarkdownIt

from .conftest import free_port, until

ROOT = Path(__file__).parents[2]
LANGUAGES = ("sh", "python", "pycon")
_COMMENT = re.compile(r"<!-- (?:(?P<kind>file|not executed|generated): (?P<what>.+?)|/generated) -->")
_SERVER = re.compile(r"^(?:\w+=\S+ +)*purport (?:serve|ui)\b")
# What no page needs: it would only take time to copy.
_LEFT_OUT = {"build", "bundles", "dist", "docs", "results", "src", "tests"}
_PORT = "8000"


@dataclass
class Block:
    """A fence; ``kind`` and ``what`` are of the comment above it, ``shown`` is the output below it."""

    language: str
    code: str
    line: int
    kind: str = ""
    what: str = ""
    shown: Block | None = None


def blocks(path: Path) -> list[Block]:
    """The fences of a page; of generated ones only the examples, because the code wrote the rest."""
    found: list[Block] = []
    mark, generated, before = ("", ""), False, None
    for token in MarkdownIt().parse(path.read_text("utf-8")):
        if token.type == "html_block":
            for comment in _COMMENT.finditer(token.content):
                mark = (comment["kind"] or "", comment["what"] or "")
                if mark[0] in ("generated", ""):
                    assert generated != bool(mark[0]), f"{path}: generated blocks must be closed and not nested"
                    generated = bool(mark[0])
        elif token.type == "fence":
            start = (token.map or [0])[0] + 1
            block = Block(token.info.strip(), token.content, start, *mark)
            if before and not block.kind and block.language in ("text", "json"):
                before.shown = block
            if generated:
                block.kind = "generated"
            if not generated or block.language == "pycon":
                found.append(block)
        mark = mark if token.type == "html_block" else ("", "")
        before = block if token.type == "fence" and block.language in LANGUAGES else None
    assert not generated, f"{path}: a generated block has no end"
    return found


class Walk:
    """Runs the blocks of one page in ``directory``; a server runs beside them until the page ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state = directory / ".state"
        self._server: subprocess.Popen[bytes] | None = None
        self._port = str(free_port())
        # Copied, not linked: a page may write what it likes.
        for entry in ROOT.iterdir():
            if not entry.name.startswith(".") and entry.name not in _LEFT_OUT:
                copy = shutil.copytree if entry.is_dir() else shutil.copy
                copy(entry, directory / entry.name)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PURPORT_")}
        self._environment = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "PURPORT_PORT": self._port,
            "PURPORT_WORKERS": "1",
            "PURPORT_DRAIN_SECONDS": "0",
        }

    def run(self, block: Block) -> None:
        """Run ``block`` and compare what it prints with what is shown below it."""
        code = block.code.replace(f":{_PORT}", f":{self._port}")
        if block.kind == "file":
            (self._directory / block.what).write_text(code, "utf-8")
        elif block.language == "python":
            compare(block.shown, self._done([sys.executable, "-c", checked(code)], block))
        elif block.language == "pycon":
            self._example(code, block)
        elif block.language == "sh":
            assert not hides_failure(code), (
                f"line {block.line}: &&, || and & hide a failure; use a line for each command"
            )
            printed = "".join(self._part(part, block) for part in parts(code))
            compare(block.shown, printed)

    def _example(self, code: str, block: Block) -> None:
        assert ">>> " in code, f"line {block.line}: an example without a line that starts with >>>"
        page = self._directory / ".example"
        # The reference lists the names that can be imported from the package, and its examples use them.
        page.write_text((">>> from purport import *\n" if block.kind == "generated" else "") + code, "utf-8")
        self._done([sys.executable, "-m", "doctest", "-o", "ELLIPSIS", "-o", "NORMALIZE_WHITESPACE", str(page)], block)

    def _part(self, part: str, block: Block) -> str:
        if _SERVER.match(part):
            self._serve(part)
            return ""
        script = f"set -eo pipefail\n[ ! -f .state ] || . ./.state\n{part}\nexport -p > {self._state}\n"
        return self._done(["bash", "-c", script], block)

    def _done(self, command: list[str], block: Block) -> str:
        done = subprocess.run(
            command, cwd=self._directory, env=self._environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"line {block.line}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, command: str) -> None:
        self.stop()
        log = self._directory / "server.log"
        script = f"[ ! -f .state ] || . ./.state\n{command.strip()} &\nwait"
        with log.open("wb") as stream:
            self._server = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self._directory, env=self._environment, stderr=stream, stdout=stream, start_new_session=True,
            )  # fmt: skip
        until(lambda: self._ready(log), 60)

    def _ready(self, log: Path) -> bool:
        assert self._server is not None and self._server.poll() is None, log.read_text("utf-8")
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/ready").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End the server, if there is one."""
        if self._server is not None:
            os.killpg(self._server.pid, 15)
            self._server.wait(timeout=30)
            until(lambda: not _listens(int(self._port)), 30)
        self._server = None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def commands(code: str) -> list[str]:
    """The lines of a shell block, continued lines joined; comment lines are left out."""
    return [line for line in code.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


def parts(code: str) -> Iterator[str]:
    """A shell block, cut where a server starts."""
    waiting: list[str] = []
    for line in re.split(r"(?<!\\)\n", code):
        if _SERVER.match(line):
            yield from ["\n".join(waiting)] if waiting else []
            yield line
            waiting = []
        else:
            waiting.append(line)
    if "".join(waiting).strip():
        yield "\n".join(waiting)


def hides_failure(code: str) -> bool:
    """Whether a shell block uses ``&&``, ``||`` or ``&``: bash goes on when a command before them fails."""
    without_files = re.sub(r"<<-?\s*['\"]?(\w+)['\"]?(.*)\n(?:.*\n)*?\s*\1\n", r"\2\n", code + "\n")
    words = shlex.shlex(without_files, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    marks = [re.sub(r"[<>]&|&>+|(?<!\|)\|&", "", word) for word in words if set(word) <= set("();<>|&")]
    return any("&" in mark or "||" in mark for mark in marks)


def checked(code: str) -> str:
    """``code`` in which a statement with the comment ``# literal`` has that value, and a bare comparison is true."""
    read = tokenize.generate_tokens(io.StringIO(code).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in read if token.type == tokenize.COMMENT}
    return ast.unparse(_Checks(comments).visit(ast.parse(code)))


class _Checks(ast.NodeTransformer):
    def __init__(self, comments: dict[int, str]) -> None:
        self._comments = comments

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            return self._assigned(node)
        return self._expression(node) if isinstance(node, ast.Expr) else self.generic_visit(node)

    def _expression(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        if (expected := self._expected(node)) is not None:
            return ast.parse(f"_given = {ast.unparse(node)}\nassert _given == {expected}, _given").body
        if isinstance(node.value, ast.Compare | ast.BoolOp) or isinstance(getattr(node.value, "op", None), ast.Not):
            return ast.parse(f"assert {ast.unparse(node)}").body
        return node

    def _assigned(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> list[ast.stmt]:
        target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        expected = self._expected(node)
        return [node, *(ast.parse(f"assert {target} == {expected}, {target}").body if expected else [])]

    def _expected(self, node: ast.stmt) -> str | None:
        comment = self._comments.get(node.end_lineno or 0, "")
        return comment if _is_literal(comment) else None


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def compare(shown: Block | None, printed: str) -> None:
    """What a page shows is what comes out: ``...`` stands for anything, numbers in JSON may differ a little."""
    if shown is None:
        return
    if shown.language == "json":
        given = json.loads(printed.strip().splitlines()[-1])
        assert same(json.loads(shown.code), given), f"line {shown.line}: {given}"
        return
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(shown.code, printed, flags), (
        f"line {shown.line} shows\n{shown.code}\n{printed}"
    )


def same(shown: Any, given: Any) -> bool:
    """Equal but for the last digits of numbers; ``"..."`` stands for anything."""
    if shown == "...":
        return True
    if isinstance(shown, float) or isinstance(given, float):
        return math.isclose(shown, given, abs_tol=1e-3)
    if isinstance(shown, dict) and isinstance(given, dict):
        return shown.keys() == given.keys() and all(same(shown[key], given[key]) for key in shown)
    if isinstance(shown, list) and isinstance(given, list):
        return len(shown) == len(given) and all(map(same, shown, given))
    return bool(shown == given)
