"""What third parties add without a change in the package: a kind, an operation, a route, an authenticator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from .conftest import PLUGIN, Starter

RECIPE = """
kind = "dictionary"
task = "multilabel"

[data]
name = "sample"
valid = "valid"
test = "test"
unlabelled = "out_of_scope"
"""


def purport(*arguments: object, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(PLUGIN)}
    command = [sys.executable, "-m", "purport", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dictionary")
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")
    purport("train", "recipe.toml", "--out", "bundle", "--set", "longest=50", cwd=folder)
    return folder


def test_a_kind_of_their_own_is_trained_evaluated_compared_and_asked(dictionary: Path) -> None:
    assert "f1_micro" in purport("evaluate", "bundle", "test", "--report", "report", cwd=dictionary)
    assert (dictionary / "report" / "index.html").is_file()
    assert "No difference is shown" in purport("compare", "bundle", "bundle", cwd=dictionary)
    assert '"bundle"' in purport("predict", "bundle", "--json", "where is my parcel", cwd=dictionary)
    assert "over the limit" not in purport("explore", "sample", "--bundle", "bundle", cwd=dictionary).lower()


def test_a_kind_of_their_own_is_served_with_their_operation_route_and_authenticator(
    start: Starter, dictionary: Path
) -> None:
    with start(dictionary / "bundle", PURPORT_AUTHENTICATOR="names", PURPORT_CACHE="0") as server:
        clerk = {"Authorization": "Bearer clerk"}
        answer = httpx.post(f"{server.url}/intent", json={"text": "where is my parcel"}, headers=clerk)
        assert answer.status_code == 200 and len(answer.json()["intents"]) == 3

        def spell(**headers: str) -> httpx.Response:
            return httpx.get(f"{server.url}/v1/spell", params={"text": "abc"}, headers=headers)

        assert spell().json() == {"label": "UNAUTHENTICATED", "message": "Say your name."}
        assert spell(Authorization="Bearer guest").json()["label"] == "FORBIDDEN"
        assert spell(**clerk).json()["letters"] == ["a", "b", "c"]
        assert [spell(**clerk).status_code for _ in range(2)] == [200, 429], "their rate, not the server's"
        assert httpx.get(f"{server.url}/openapi.json").json()["paths"]["/v1/spell"]["get"]["tags"] == ["spell"]
        assert server.metric('purport_requests_total{path="/v1/spell",status="200"}') == 2


def test_each_of_them_is_short() -> None:
    assert len((PLUGIN / "dictionary.py").read_text("utf-8").splitlines()) <= 60
    text = (PLUGIN / "spelling.py").read_text("utf-8")
    parts = text.split("\nclass Spell")[1], text.split("\ndef router")[1], text.split("\nclass Names")[1]
    assert all(len(part.split("\n\n\n")[0].splitlines()) < 40 for part in parts)
