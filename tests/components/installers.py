"""Poetry and uv install each environment from the metadata of the checkout, and the server runs in both."""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Without torch, which they would take with CUDA; of training they say what they would install.
ENVIRONMENTS = {"inference": [], "serve": ["serve"], "eval": ["eval"]}
HEAVY = {"torch", "transformers", "peft", "accelerate"}


def call(*command: str | Path, folder: Path, **environment: str) -> str:
    settings = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"} | environment
    done = subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True, env=settings)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def index_describes_packages() -> bool:
    """Poetry asks PyPI for JSON about each version; a mirror may have only the standard pages (PEP 503)."""
    try:
        return bool(urllib.request.urlopen("https://pypi.org/pypi/rich/14.0.0/json", timeout=30).status == 200)
    except urllib.error.HTTPError:
        return False


def packages(folder: Path) -> set[str]:
    code = "import importlib.metadata as m, json; print(json.dumps([d.name.lower() for d in m.distributions()]))"
    return set(json.loads(call(folder / ".venv" / "bin" / "python", "-c", code, folder=folder)))


def check(folder: Path, name: str) -> None:
    found = packages(folder)
    assert "purport" in found and not found & HEAVY, found
    call(folder / ".venv" / "bin" / "python", ROOT / "tests" / "components" / f"{name}.py", folder=folder)
    print(f"{name}: {len(found)} packages", flush=True)


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary, "purport")
    kept = call("git", "ls-files", "-z", "src", "pyproject.toml", "README.md", "LICENSE", folder=ROOT).split("\0")
    for file in filter(None, kept):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)

    print("uv", flush=True)
    for name, extras in ENVIRONMENTS.items():
        call("uv", "sync", *[word for extra in extras for word in ("--extra", extra)], folder=folder)
        check(folder, name)
    assert "torch" in call("uv", "sync", "--extra", "train", "--dry-run", folder=folder)
    shutil.rmtree(folder / ".venv")

    print("poetry", flush=True)
    if not index_describes_packages():
        call("poetry", "source", "add", "--priority=primary", "index", "https://pypi.org/simple/", folder=folder)
    in_project = {"POETRY_VIRTUALENVS_IN_PROJECT": "true"}
    call("poetry", "lock", folder=folder, **in_project)
    for name, extras in ENVIRONMENTS.items():
        words = [word for extra in extras for word in ("--extras", extra)]
        call("poetry", "install", *words, folder=folder, **in_project)
        check(folder, name)
        shutil.rmtree(folder / ".venv")
    assert "torch" in call("poetry", "install", "--extras", "train", "--dry-run", folder=folder, **in_project)
