"""A real server process on a free port."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, sync_playwright

from purport import Bundle, Task
from purport.bundle import commit, staging
from purport.manifest import Manifest, ModelFacts, PerLabel, Provenance

Starter = Callable[..., AbstractContextManager["Server"]]


PLUGIN = Path(__file__).parent / "plugin"
LABELS = ("one", "two", "three")


def until(condition: Callable[[], bool], seconds: float = 10) -> float:
    """Wait for ``condition``; the seconds that it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not come to pass"
        time.sleep(0.02)
    return time.monotonic() - started


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Server:
    """A running ``purport serve``."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log

    def wait_ready(self) -> None:
        path = self.url.partition("unix:")[2]
        with httpx.Client(transport=httpx.HTTPTransport(uds=path or None)) as client:
            url = "http://purport" if path else self.url
            until(lambda: client.get(f"{url}/ready").status_code == 200, 30)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.url.rpartition(":")[2])

    def workers(self) -> list[int]:
        """Worker processes, and none that tries a bundle for a moment."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if "purport.serving.worker" in child.cmdline():
                    found.append(child.pid)
        return found

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics").text
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)} (\S+)$", text, re.M))

    def given(self) -> float:
        """Batches that workers were given."""
        return self.metric("purport_batch_texts_count")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Starter:
    @contextmanager
    def run(*bundles: str | Path, ready: bool = True, cwd: Path | None = None, **environment: str) -> Iterator[Server]:
        folder = tmp_path_factory.mktemp("server")
        log = folder / "log"
        where = () if "PURPORT_UNIX_SOCKET" in environment else ("--port", "0")
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "purport", "serve", *map(str, bundles), *where],
                stderr=stream,
                text=True,
                cwd=cwd or folder,
                env={**_environment(), "PURPORT_DRAIN_SECONDS": "0.5", "PYTHONPATH": _python_path(), **environment},
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


# Until the module ends: its event loop runs in this thread, and no other test could use asyncio.run.
@pytest.fixture(scope="module")
def browser(program: Callable[..., str]) -> Iterator[Browser]:
    path = program("chromium", "chromium-browser", "google-chrome", install="apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PURPORT_")}


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(PLUGIN), os.environ.get("PYTHONPATH")]))


def _address(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r" on (http://127\.0\.0\.1:\d+|unix:\S+)", log.read_text("utf-8")):
            return found[1]
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {log.read_text('utf-8')}")


@pytest.fixture(scope="session")
def server(start: Starter, linear_bundle: Bundle) -> Iterator[Server]:
    with start(str(linear_bundle.path)) as running:
        yield running


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a bundle of the kind in ``plugin/``: its likeliest label is ``best``."""
    folder = tmp_path_factory.mktemp("scripted")

    def make(best: str = "one", load_s: float = 0.0, target: Path | None = None) -> Path:
        target = target or folder / f"{best}-{load_s}"
        if target.exists() and target.parent == folder:
            return target
        logits = [5.0 if label == best else -5.0 for label in LABELS]
        manifest = Manifest(
            kind="scripted",
            opener="scripted",
            task=Task.MULTILABEL,
            labels=LABELS,
            model=ModelFacts.model_validate({"logits": logits, "load_s": load_s}),
            decision=PerLabel(thresholds=(0.5,) * len(LABELS)),
            provenance=Provenance(dataset="none", fingerprint="", rows={}),
        )
        with staging(target.parent) as stage:
            (stage / "README.md").write_text(best)
            commit(stage, target, manifest, overwrite=True)
        return target

    return make
