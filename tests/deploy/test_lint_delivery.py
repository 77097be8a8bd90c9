"""A mistake in a script, a Dockerfile or a pipeline does not pass `make lint`: each is made here once, on purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # `make check` runs the linters themselves
ROOT = Path(__file__).parents[2]
SCRIPT = "scripts/lint_delivery.sh"
CHECKED = (
    ".ci",
    ".github",
    ".azure",
    ".hadolint.yaml",
    ".snyk",
    ".yamllint.yaml",
    "azure-pipelines.yml",
    "deploy/docker",
    "scripts",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with what the script checks, to break."""
    for name in CHECKED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.whl"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


def lint(checkout: Path) -> tuple[int, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [ROOT / SCRIPT, checkout]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
    return done.returncode, done.stdout + done.stderr


def test_what_is_here_passes(checkout: Path) -> None:
    status, output = lint(checkout)
    assert status == 0, output


@pytest.mark.parametrize(
    ("file", "right", "wrong", "finding"),
    [
        ("scripts/demo.sh", 'cat "$log"', "cat $log", "SC2086"),
        (".ci/run", 'cd "$(dirname "$0")/.."', 'cd $(dirname "$0")/..', "SC2046"),
        (".github/workflows/ci.yml", "  pull_request:", "  pull_request:\n  pull_request:", "duplication of key"),
        (".github/workflows/ci.yml", "runs-on:", "run-on:", "'runs-on' is a required property"),
        (".github/workflows/codeql.yml", "    timeout-minutes: 30\n", "", "'timeout-minutes' is a required property"),
        (".github/workflows/ci.yml", "@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7", "unpinned-uses"),
        (".github/workflows/ci.yml", "persist-credentials: false", "fetch-depth: 1", "artipacked"),
        (".github/workflows/ci.yml", "make lint", "make ${{ github.head_ref }}", "template-injection"),
        (".github/dependabot.yml", "interval: weekly", "interval: sometimes", "'sometimes' is not one of"),
        ("azure-pipelines.yml", "dependsOn: lint", "dependOn: lint", "'dependOn' was unexpected"),
        (".azure/deploy.yml", "runOnce:", "runTwice:", "runTwice"),
    ],
)
def test_a_mistake_is_found(checkout: Path, file: str, right: str, wrong: str, finding: str) -> None:
    text = (checkout / file).read_text("utf-8")
    assert right in text
    (checkout / file).write_text(text.replace(right, wrong), "utf-8")
    status, output = lint(checkout)
    assert status != 0 and finding in output


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("deploy/docker/new.Dockerfile", "FROM debian:12\nCOPPY . /app\n", "unexpected 'C'"),
        ("deploy/docker/new.Dockerfile", "FROM debian\nUSER 65532\n", "DL3006"),
        ("deploy/compose/compose.yaml", "services:\n  server:\n    imagge: intent-classifier-inference\n", "'imagge'"),
        ("new.sh", "#!/bin/sh\nrm -r $1\n", "SC2086"),
    ],
)
def test_a_mistake_in_a_new_file_is_found(checkout: Path, name: str, text: str, finding: str) -> None:
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text(text, "utf-8")
    status, output = lint(checkout)
    assert status != 0 and finding in output


def test_make_lint_and_the_commit_hook_run_the_same() -> None:
    hook = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    lines = (ROOT / "scripts/lint.sh").read_text("utf-8")
    for command in ("ruff format", "ruff check", "mypy", "lint-imports", "lint_delivery.sh"):
        assert command in hook and command in lines
