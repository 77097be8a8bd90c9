"""A real server process on a free port."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from purport import Bundle

Starter = Callable[..., AbstractContextManager["Server"]]


class Server:
    """A running ``purport serve``."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if httpx.get(f"{self.url}/ready").status_code == 200:
                return
            time.sleep(0.02)
        raise AssertionError(f"not ready: {self.log.read_text('utf-8')}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Starter:
    @contextmanager
    def run(bundle: str, *, ready: bool = True, script: str | None = None, **environment: str) -> Iterator[Server]:
        folder = tmp_path_factory.mktemp("server")
        log = folder / "log"
        program = ["-c", script] if script else ["-m", "purport"]
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, *program, "serve", bundle, "--port", "0"],
                stderr=stream,
                text=True,
                cwd=folder,
                env={**_environment(), "PURPORT_DRAIN_SECONDS": "0.5", **environment},
            )
        try:
            server = Server(process, _address(process, log), log)
            if ready:
                server.wait_ready()
            yield server
        finally:
            process.kill()
            process.wait()

    return run


def _environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith("PURPORT_")}


def _address(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"on (http://127\.0\.0\.1:\d+)", log.read_text("utf-8")):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {log.read_text('utf-8')}")


@pytest.fixture(scope="session")
def server(start: Starter, linear_bundle: Bundle) -> Iterator[Server]:
    with start(str(linear_bundle.path)) as running:
        yield running
