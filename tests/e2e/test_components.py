"""The wheel installed alone, as a user gets it: the server environment holds no training library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"torch", "transformers", "peft", "accelerate", "scikit-learn", "pandas", "scipy"}


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_server_environment(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{wheel}[serve]")
    installed = {package["name"].lower() for package in json.loads(run(python, "-m", "pip", "list", "--format=json"))}
    assert "purport" in installed and not installed & FORBIDDEN
    run(python, ROOT / "tests" / "components" / "serve.py")
    refused = subprocess.run(
        [
            str(python),
            "-m",
            "purport",
            "train",
            str(ROOT / "recipes" / "sample-linear.toml"),
            "--out",
            str(tmp_path / "b"),
        ],
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 69 and f"pip install '{wheel}[train]'" in refused.stderr


def test_the_oldest_versions_that_are_admitted_work() -> None:
    """The rest is in `make lowest`; the server holds what most people install."""
    import os

    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "scripts" / "lowest.sh", "serve"], capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "serve works with" in done.stdout
