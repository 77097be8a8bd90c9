"""A page of the documentation as a reader follows it: its code blocks, run in order, in a directory of their own."""

from __future__ import annotations

import ast
import doctest
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from markdown_it import MarkdownIt

from .conftest import until

ROOT = Path(__file__).parents[2]
LANGUAGES = ("sh", "python")
_COMMENT = re.compile(r"<!-- (?:(?P<kind>file|not executed|generated): (?P<what>.+?)|/generated) -->")
_SERVER = re.compile(r"^(?:\w+=\S+ +)*purport serve\b")
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
    """The fences of a page; generated ones are left out."""
    found: list[Block] = []
    mark, generated, before = ("", ""), False, None
    for token in MarkdownIt().parse(path.read_text("utf-8")):
        if token.type == "html_block":
            for comment in _COMMENT.finditer(token.content):
                mark = (comment["kind"] or "", comment["what"] or "")
                generated = mark[0] == "generated"
        elif token.type == "fence":
            start = (token.map or [0])[0] + 1
            block = Block(token.info.strip(), token.content, start, *mark)
            if before and not block.kind and block.language in ("text", "json"):
                before.shown = block
            if not generated:
                found.append(block)
        mark = mark if token.type == "html_block" else ("", "")
        before = block if token.type == "fence" and block.language in LANGUAGES else None
    return found


class Walk:
    """Runs the blocks of one page in ``directory``; a server runs beside them until the page ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state = directory / ".state"
        self._server: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
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
        elif block.language == "sh":
            printed = "".join(self._part(part, block) for part in parts(code))
            compare(block.shown, printed)

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


def checked(code: str) -> str:
    """``code`` in which ``expression  # literal`` has to be true."""
    lines, checks = code.splitlines(), []
    for node in ast.parse(code).body:
        comment = lines[(node.end_lineno or 1) - 1].partition("  # ")[2]
        text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        if isinstance(node, ast.Expr) and _is_literal(comment):
            text = f"_given = {ast.unparse(node.value)}\nassert _given == {comment}, _given"
        checks.append(text)
    return "\n".join(checks)


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
