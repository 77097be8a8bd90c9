"""Processes that do one thing for the server: their limits hold, and none of them outlives it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from purport.serving import errand
from purport.serving.errand import Limits

LIMITS = Limits(20.0, 20, 0, 0)
AUTOGROUP = Path("/proc/self/autogroup")
OURS = f"_of_{os.getpid()}"
"""How the names of what is run end: other tests may run the same at the same time."""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is run: ``NAME.py`` for each of these, with :data:`OURS` in the name."""
    for name, does in {
        "modest": "from pathlib import Path; errand.end(0, Path('/proc/self/autogroup').read_text().strip())",
        "obliging": "import sys; errand.end(3, f'{arguments} {sys.stdin.read()}')",
        "endless": "import time\nwhile True: time.sleep(1)",
        "burning": "while True: pass",
        "greedy": "bytearray(2**30)",
        "early": "import time\nwhile True: time.sleep(1)",
    }.items():
        early = "import time\ntime.sleep(1)\n" if name == "early" else ""
        (tmp_path / f"{name}{OURS}.py").write_text(
            f"{early}from purport.serving import errand\narguments = errand.begin()\n{does}\n"
        )
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", paths)


def running(module: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            if module + OURS in process.cmdline() and process.cmdline()[1:2] == ["-P"]:
                found.append(process)
    return found


def test_it_says_one_line_and_how_it_went() -> None:
    assert asyncio.run(errand.run(f"obliging{OURS}", "a", limits=LIMITS, given=b"b")) == (3, "['a'] b")


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not share the cores among sessions")
def test_its_session_is_as_nice_as_it_is() -> None:
    assert asyncio.run(errand.run(f"modest{OURS}", limits=Limits(20.0, 20, 0, 7)))[1].endswith("nice 7")


def test_it_may_take_so_long_and_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(errand.run(f"endless{OURS}", limits=Limits(0.5, 20, 0, 0)))
    assert asyncio.run(errand.run(f"burning{OURS}", limits=Limits(20.0, 1, 0, 0)))[0] < 0, "killed by the kernel"
    assert asyncio.run(errand.run(f"greedy{OURS}", limits=Limits(20.0, 20, 2**29, 0)))[0] == 1
    assert not any(map(running, ("endless", "burning", "greedy")))


def test_whoever_stops_waiting_ends_it() -> None:
    async def test() -> None:
        task = asyncio.create_task(errand.run(f"endless{OURS}", limits=LIMITS))
        while not running("endless"):
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(test())
    assert not running("endless")


@pytest.mark.parametrize("module", ["endless", "early"])
def test_it_does_not_outlive_a_server_that_is_killed(module: str) -> None:
    """Even if it has not come to its first line yet."""
    asks = f"errand.run({module + OURS!r}, limits=errand.Limits(20.0, 20, 0, 0))"
    server = subprocess.Popen(
        [sys.executable, "-c", f"import asyncio\nfrom purport.serving import errand\nasyncio.run({asks})"]
    )
    while not (found := running(module)):
        time.sleep(0.02)
    if module == "endless":
        time.sleep(1)
    server.kill()
    server.wait()
    assert not psutil.wait_procs(found, timeout=20)[1]


def test_it_gets_no_setting_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURPORT_API_KEYS", "secret")
    monkeypatch.setenv("PURPORT_DATA_DIR", "/data")
    assert {name for name in errand._environment() if name.startswith("PURPORT_")} == {"PURPORT_DATA_DIR"}
