"""`docker compose up` starts server and Prometheus, and a request is seen in Prometheus."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import QUESTION, ROOT, docker, free_port

FILE = ROOT / "deploy" / "compose" / "compose.yaml"


@pytest.fixture
def prometheus_image() -> str:
    """The image that the compose file names, where it can be had; otherwise one with Debian's Prometheus."""
    named = docker("compose", "--file", FILE, "config", "--images").splitlines()
    real = next(image for image in named if "prometheus" in image)
    if subprocess.run(["docker", "pull", "--quiet", real], capture_output=True).returncode == 0:
        return real
    docker(
        "build",
        "--quiet",
        "--tag",
        "purport-test-prometheus",
        "--file",
        Path(__file__).parent / "prometheus.Dockerfile",
        ROOT,
    )
    return "purport-test-prometheus"


@pytest.fixture
def ports(prometheus_image: str) -> Iterator[tuple[int, int]]:
    server, prometheus = free_port(), free_port()
    environment = {
        **os.environ,
        "PURPORT_PUBLISH": f"127.0.0.1:{server}",
        "PROMETHEUS_PUBLISH": f"127.0.0.1:{prometheus}",
        "PROMETHEUS_IMAGE": prometheus_image,
    }
    command = ["docker", "compose", "--project-name", f"purport-test-{uuid.uuid4().hex[:8]}", "--file", str(FILE)]
    started = subprocess.run(
        [*command, "up", "--build", "--detach", "--wait"], env=environment, capture_output=True, text=True
    )
    try:
        assert started.returncode == 0, started.stderr
        yield server, prometheus
    finally:
        subprocess.run([*command, "down", "--volumes"], env=environment, check=True, capture_output=True)


def test_a_request_is_seen_in_prometheus(ports: tuple[int, int]) -> None:
    server, prometheus = ports
    assert httpx.post(f"http://127.0.0.1:{server}/intent", json=QUESTION).json()["intents"][0]["label"] == "flight"
    query = {"query": 'purport_requests_total{job="purport",path="/intent",status="200"}'}
    deadline = time.monotonic() + 60
    while True:
        found = httpx.get(f"http://127.0.0.1:{prometheus}/api/v1/query", params=query).json()["data"]["result"]
        if found:
            break
        assert time.monotonic() < deadline, "Prometheus has not seen the request"
        time.sleep(0.5)
    assert float(found[0]["value"][1]) == 1
    alerts = httpx.get(f"http://127.0.0.1:{prometheus}/api/v1/rules").json()["data"]["groups"]
    assert {group["name"] for group in alerts} == {"purport", "purport-recorded"}
