"""The code stays in small pieces: functions one sees at once, classes one can say, modules one reads in a sitting."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import purport

ROOT = Path(purport.__file__).parent
MODULES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py"))}
OTHERS = [
    path.as_posix()
    for folder in ("tests", "scripts", "benchmarks")
    for path in (ROOT.parents[1] / folder).rglob("*.py")
]
LONGEST_FUNCTION, MOST_METHODS, LONGEST_MODULE = 50, 15, 320
# A command of the command line declares an option a line: what counts is its body.
COMMANDS = "cli/"


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> int:
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    start = first.lineno if name.startswith(COMMANDS) else node.lineno
    return (node.end_lineno or start) - start + 1


def test_no_function_is_longer_than_one_sees_at_once() -> None:
    long = [
        f"{name}:{node.lineno} {node.name} {body_lines(node, name)}"
        for name, text in MODULES.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node, name) > LONGEST_FUNCTION
    ]
    assert long == []


def test_no_class_has_more_methods_than_one_can_say() -> None:
    for name, text in MODULES.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
                public = [method for method in methods if not method.startswith("_")]
                assert len(public) <= MOST_METHODS, f"{name}: {node.name} has {len(public)} public methods"


def test_no_module_is_longer_than_one_reads_in_a_sitting() -> None:
    assert {
        name: len(text.splitlines()) for name, text in MODULES.items() if len(text.splitlines()) > LONGEST_MODULE
    } == {}


def test_a_file_name_occurs_once_but_for_those_that_a_folder_of_a_kind_has() -> None:
    names = Counter(path.rpartition("/")[2] for path in MODULES)
    by_design = {"__init__.py", "recipe.py", "fit.py", "model.py"}
    commands = {path.rpartition("/")[2] for path in MODULES if path.startswith(COMMANDS)}
    assert {name for name, count in names.items() if count > 1} <= by_design | commands


def test_every_module_that_the_docs_name_is_there() -> None:
    checkout = ROOT.parents[1]
    for page in [checkout / "README.md", checkout / "CONTRIBUTING.md", *(checkout / "docs").rglob("*.md")]:
        text = page.read_text("utf-8")
        own = re.findall(r"<!-- file: (\S+) -->", text)
        for name in set(re.findall(r"`([a-z_/]+\.py)`", text)) - set(own):
            assert any(f"/{path}".endswith(f"/{name}") for path in [*MODULES, *OTHERS]), f"{page.name} names {name}"
