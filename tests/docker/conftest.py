"""A real Docker engine: without one these tests fail, they are not skipped. `make docker-test` runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
INFERENCE = ROOT / "RUN_DOCKER_INFERENCE.sh"
TRAINING = ROOT / "RUN_DOCKER_TRAINING.sh"
IMAGES = {INFERENCE: "intent-classifier-inference", TRAINING: "intent-classifier-training"}
QUESTION = {"text": "find me a flight that flies from Memphis to tacoma"}

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def docker(*arguments: str | Path, check: bool = True) -> str:
    """What ``docker`` prints."""
    done = subprocess.run(["docker", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


def exists(container: str) -> bool:
    """Whether there is such a container, running or not."""
    return bool(docker("ps", "--all", "--quiet", "--filter", f"name=^{container}$"))


def inspect(kind: str, name: str) -> Any:
    """All that the engine knows of an image or a container."""
    return json.loads(docker(kind, "inspect", name))[0]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    done = subprocess.run(["docker", "info"], capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"these tests need a Docker engine: {done.stderr.strip()}", pytrace=False)


@pytest.fixture
def container() -> Iterator[str]:
    """A name; whatever has it is removed afterwards."""
    name = f"purport-test-{uuid.uuid4().hex[:8]}"
    yield name
    docker("rm", "--force", name, check=False)


def run(script: Path, *arguments: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call a script as a user does."""
    return subprocess.run(
        [script, *map(str, arguments)], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )


@pytest.fixture
def serve(container: str) -> Callable[..., httpx.Client]:
    """Run the inference script; the client talks to what it started."""

    def start(*arguments: str | Path, **environment: str) -> httpx.Client:
        port = free_port()
        done = run(INFERENCE, "--port", str(port), "--container-name", container, *arguments, **environment)
        assert done.returncode == 0, done.stderr
        return httpx.Client(base_url=f"http://127.0.0.1:{port}")

    return start


@pytest.fixture(scope="session")
def linear_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle of the sample dataset."""
    path = tmp_path_factory.mktemp("bundles") / "tickets"
    subprocess.run(
        [sys.executable, "-m", "purport", "train", ROOT / "recipes" / "sample-linear.toml", "--out", path],
        check=True,
        capture_output=True,
    )
    path.chmod(0o755)
    return path


def metric(client: httpx.Client, name: str) -> float:
    """A number of ``/metrics``."""
    found = re.search(rf"^{name} (\S+)$", client.get("/metrics").text, re.M)
    assert found
    return float(found[1])
