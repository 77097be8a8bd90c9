"""The example of docs/architecture.md is built from the page, tested, trained and served."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
        ((metadata if name == "entry_points.txt" else folder) / name).write_text(code, "utf-8")
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


def test_every_module_that_the_page_names_is_there() -> None:
    package = Path(__file__).parents[2] / "src" / "purport"
    for name in re.findall(r"`([\w/]+\.py)`", PAGE):
        found = [path for path in package.rglob(Path(name).name) if str(path).endswith(f"/{name}")]
        assert found, f"{name} is not in the package any more"
