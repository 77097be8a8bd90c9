"""A working directory with modules that are named like those we import: none of them is ever run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from purport import Bundle

from .conftest import Starter
from .test_confinement import LINEAR

HOSTILE = (
    "json", "logging", "asyncio", "socket", "multiprocessing", "pickle", "concurrent", "tomllib", "numpy",
    "onnxruntime", "tokenizers", "pydantic", "typer", "rich", "uvicorn", "uvloop", "httptools", "structlog", "fastapi",
    "sklearn", "scipy", "sitecustomize",
)  # fmt: skip


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A directory with such modules; whoever imports one leaves ``caught`` there and fails."""
    for name in HOSTILE:
        code = f"open({str(tmp_path / 'caught')!r}, 'a').write({name!r} + '\\n'); raise ImportError('hostile')\n"
        (tmp_path / f"{name}.py").write_text(code, "utf-8")
    return tmp_path


def run(hostile: Path, *command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=hostile, capture_output=True, text=True)


def test_such_a_module_would_be_imported(hostile: Path) -> None:
    assert run(hostile, sys.executable, "-m", "this").returncode == 0
    assert "hostile" in run(hostile, sys.executable, "-c", "import json").stderr
    assert (hostile / "caught").read_text("utf-8") == "json\n"


def test_predict_and_train(hostile: Path) -> None:
    (hostile / "recipe.toml").write_text(LINEAR, "utf-8")
    for command in ((sys.executable, "-m", "purport"), (Path(sys.executable).with_name("purport"),)):
        done = run(hostile, *command, "predict", "atis", "show me flights")
        assert done.returncode == 0 and "flight" in done.stdout, done.stderr
    done = run(hostile, sys.executable, "-m", "purport", "train", "recipe.toml", "--out", "bundle")
    assert done.returncode == 0, done.stderr
    assert not (hostile / "caught").exists()


def test_serve_and_the_processes_that_it_starts(start: Starter, hostile: Path, linear_bundle: Bundle) -> None:
    bundle = shutil.copytree(linear_bundle.path, hostile / "bundle")
    keys = {"PURPORT_API_KEYS": "boss@intent@models", "PURPORT_WORKERS": "1"}
    taught = {"text": "a text of its own", "labels": [*linear_bundle.labels][:1]}
    with (
        start("atis", f"main={bundle}", cwd=hostile, **keys) as server,
        httpx.Client(base_url=server.url, headers={"X-API-Key": "boss"}, timeout=120) as client,
    ):
        assert client.post("/intent", json={"text": "show me flights"}).json()["intents"][0]["label"] == "flight"
        teaching = client.post("/v1/models/main/examples", json={"examples": [taught]})
        assert teaching.status_code == 200, teaching.text
    assert not (hostile / "caught").exists()
