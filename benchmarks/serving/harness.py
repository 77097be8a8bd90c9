"""Starting servers, loading them with wrk, and the texts: what the serving benchmarks share."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from purport import load_dataset
from purport.evaluation.report import machine as describe

HERE = Path(__file__).parent
KEY = "benchmark"
KEYS = f"{KEY}@intent@classify@models,nobody"
INTENT_BODY = '{"text": "@TEXT@"}'


@dataclass
class Running:
    """A server that is up."""

    process: subprocess.Popen[bytes] | psutil.Process
    port: int

    def processes(self) -> list[psutil.Process]:
        """The server and all that it started."""
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]

    def memory_mib(self) -> float:
        """Proportional set size of all of them: shared pages are counted once."""
        return sum(each.memory_full_info().pss for each in self.processes()) / 2**20


def machine() -> str:
    """The machine, in words."""
    return f"{describe()}; load generator on the same machine"


@cache
def texts_of(dataset: str) -> list[str]:
    """The distinct texts of a test split."""
    return list(dict.fromkeys(load_dataset(dataset)["test"].texts))


def text_file(texts: list[str]) -> str:
    """A temporary file with one text a line, for wrk."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write("\n".join(texts) + "\n")
    return file.name


def free_port(following: int = 0) -> int:
    """A port that nobody listens on, nor on the ``following`` ones after it."""
    while True:
        with contextlib.ExitStack() as listeners, contextlib.suppress(OSError, OverflowError):
            first = listeners.enter_context(socket.create_server(("127.0.0.1", 0)))
            port: int = first.getsockname()[1]
            for each in range(following):
                listeners.enter_context(socket.create_server(("127.0.0.1", port + 1 + each)))
            return port


@contextmanager
def serving(
    command: list[str], port: int, ready: str, stop: str = "TERM", environment: dict[str, str] | None = None
) -> Iterator[Running]:
    """Run ``command`` until the block ends; begins when ``ready`` answers 200."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Not a session: Linux shares cores among sessions (sched_autogroup), and one with a busy client has to wait.
        process_group=0,
        env={**os.environ, **(environment or {})},
    )
    running = Running(process, port)
    try:
        wait(f"http://127.0.0.1:{port}{ready}", lambda: process.poll() is None)
        yield running
    finally:
        children = running.processes() if process.poll() is None else []
        process.send_signal(getattr(signal, f"SIG{stop}"))
        _, alive = psutil.wait_procs(children, timeout=15)
        for each in alive:
            each.kill()
        process.wait()


def purport(*arguments: str, python: str = sys.executable) -> Any:
    """``purport serve`` with ``arguments``, as installed for the interpreter ``python``."""
    port = free_port()
    command = [python, "-m", "purport", "serve", *arguments, "--port", str(port)]
    environment = {"PURPORT_API_KEYS": KEYS, "PURPORT_DRAIN_SECONDS": "0"}
    return serving(command, port, "/ready", environment=environment)


@dataclass
class Contained(Running):
    """A server in a container."""

    name: str

    def memory(self) -> dict[str, Any]:
        """What the control group has counted."""
        files = "cat /sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory/memory.max_usage_in_bytes 2>/dev/null || true"
        peak = int(docker("exec", self.name, "sh", "-c", files).split()[0])
        killed = docker("inspect", "--format", "{{.State.OOMKilled}}", self.name) == "true"
        return {"peak_mib": round(peak / 2**20), "killed_for_memory": killed}


@contextmanager
def container(image: str, *options: str) -> Iterator[Contained]:
    """The server of ``image`` with ``options`` of ``docker run``; its processes are seen by root only."""
    port = free_port()
    name = f"purport-benchmark-{port}"
    settings = {"PURPORT_API_KEYS": KEYS, "PURPORT_DRAIN_SECONDS": "0", "PURPORT_CACHE": "0"}
    settings |= {key: value for key, value in os.environ.items() if key == "PURPORT_DEADLINE_MS"}
    arguments = [f"--env={key}={value}" for key, value in settings.items()]
    docker("run", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:8000", *arguments, *options, image)
    try:
        server = psutil.Process(int(docker("inspect", "--format", "{{.State.Pid}}", name)))
        wait(f"http://127.0.0.1:{port}/ready", server.is_running)
        yield Contained(server, port, name)
    finally:
        docker("rm", "--force", name)


def docker(*arguments: str) -> str:
    """What ``docker`` prints."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def wait(url: str, running: Callable[[], bool], seconds: float = 120) -> None:
    """Return when ``url`` answers 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and running():
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{url} did not get ready")


def wrk(
    port: int, path: str, body: str, file: str, *, clients: int, seconds: float, pause_ms: float = 0
) -> dict[str, Any]:
    """One run of wrk; with ``pause_ms`` each of ``clients`` connections pauses that long on average."""
    command = [
        "wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s", "-H", f"Authorization: Bearer {KEY}",
        "-s", str(HERE / "load.lua"), f"http://127.0.0.1:{port}{path}", "--", file, body, f"{pause_ms:g}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    failed = sum(found["not_200"].values())
    found["per_s"] = round((found["requests"] - failed) / found["seconds"], 1)
    return found


def write(path: Path, report: dict[str, Any]) -> None:
    """Write and show a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1)
    path.write_text(text + "\n", "utf-8")
    print(text)
