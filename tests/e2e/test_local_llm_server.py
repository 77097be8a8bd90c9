"""A language model in the workers of a server, and all commands that a user takes to get there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from purport import Classifier

from ..unit.test_llm import HOSTILE
from ..unit.tiny_causal import causal
from .conftest import Starter

pytestmark = pytest.mark.slow
RECIPE = """
kind = "llm"
task = "multiclass"

[data]
name = "table.tsv"
unlabelled = "out_of_scope"
valid = 0.4
test = 0.3

[local]
model = "model"

[prompt]
examples = 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a bundle that the commands have made."""
    folder = tmp_path_factory.mktemp("local")
    causal(folder / "model")
    names = ["rome", "oslo", "cairo", "lima", "quito", "accra", "delhi", "seoul", "miami", "turin"]
    what = [("fly to {}", "flight"), ("cost of {}", "fare"), ("food in {}", "meal"), ("hi {}", "")]
    rows = [f"{text.format(name)}\t{label}" for name in names for text, label in what]
    (folder / "table.tsv").write_text("\n".join(rows), "utf-8")
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")
    said = purport(folder, "train", "recipe.toml", "--out", "bundle")
    assert "confidence comes from log-likelihoods" in said
    return folder


def purport(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PURPORT_")}
    done = subprocess.run(
        [sys.executable, "-m", "purport", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Loading weights" not in done.stderr
    return done.stdout + done.stderr


def test_the_commands(folder: Path) -> None:
    found = json.loads(purport(folder, "predict", "bundle", "fly to rome", "--json"))
    assert {each["label"] for each in found["intents"]} <= {"flight", "fare", "meal"}
    assert "accuracy" in purport(folder, "evaluate", "bundle", "test").lower()


def test_many_clients_get_what_the_model_says(start: Starter, folder: Path) -> None:
    texts = ["fly to rome", "cost of oslo", *(text for text in HOSTILE[:20] if text.isprintable())]
    expected = [each.ranked[0] for each in Classifier.open(folder / "bundle").predict(texts)]
    with start(f"llm={folder / 'bundle'}", "atis", PURPORT_WORKERS="1") as server, httpx.Client(timeout=60) as client:

        def ask(text: str) -> dict[str, object]:
            answer = client.post(f"{server.url}/v1/classify", json={"texts": [text], "model": "llm"}).json()
            found: dict[str, object] = answer["results"][0]
            return found

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(ask, texts))
        body = {"texts": ["flights to boston"], "model": "atis"}
        assert client.post(f"{server.url}/v1/classify", json=body).status_code == 200
    for one, likeliest in zip(found, expected, strict=True):
        for each in one.get("intents", []):  # type: ignore[attr-defined]
            assert each["label"] in {"flight", "fare", "meal"}
            if each["label"] == likeliest.label:
                assert each["confidence"] == pytest.approx(likeliest.confidence, abs=1e-3)
    assert all("intents" in one for one in found), found
