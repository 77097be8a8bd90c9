"""The example of docs/architecture.md is built from the page, tested, trained and served."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from .conftest import Starter

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distribution")
    metadata = folder / "shares-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shares\nVersion: 0\n", "utf-8")
    for name, code in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.S):
        (folder / name).write_text(code, "utf-8")
    groups = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{name} = {what}\n" for name, what in found.items()) for group, found in groups]
    (metadata / "entry_points.txt").write_text("".join(lines), "utf-8")
    return folder


def run(folder: Path, *command: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_keeps_the_contract_and_is_served(distribution: Path, start: Starter) -> None:
    assert "1 passed" in run(distribution, "pytest", "-q", "test_shares.py")
    recipe = 'kind = "shares"\ntask = "multilabel"\n[data]\nname = "sample"\nunlabelled = "out_of_scope"\n'
    (distribution / "recipe.toml").write_text(recipe, "utf-8")
    run(distribution, "purport", "train", "recipe.toml", "--out", "bundle")
    with start(distribution / "bundle", PYTHONPATH=str(distribution)) as server:
        assert httpx.get(f"{server.url}/v1/count", params={"text": "hello"}).json() == {"labels": 0}
        assert len(httpx.post(f"{server.url}/intent", json={"text": "hello"}).json()["intents"]) == 3
