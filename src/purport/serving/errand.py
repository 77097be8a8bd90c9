"""A process that does one thing for the server, within limits of time and memory, and is gone afterwards.

It never outlives the server, whatever it does: the server kills it when it has waited long enough or ends itself, the
kernel kills it when the server is killed, and when it has used its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..isolation import die_with, isolate
from ..settings import LOCAL_MODELS, PROVIDER_URLS

_FIRST_KILLED = "1000"
_TRIES, _AGAIN_S = 5, 0.11
_NEEDED = {"PURPORT_DATA_DIR", PROVIDER_URLS, LOCAL_MODELS}


@dataclass(frozen=True)
class Limits:
    """Seconds that pass, seconds of all cores, bytes of private memory (0: no limit), and niceness."""

    seconds: float
    cpu_seconds: int
    memory: int
    nice: int


async def run(
    module: str, *arguments: str, limits: Limits, given: bytes = b"", environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit code of ``python -m MODULE LIMITS… ARGUMENTS…``, which reads ``given``; and the last line that it wrote.

    ``environment`` is what it gets besides the server's own.

    Raises:
        TimeoutError: it took too long.
    """
    bounds = (os.getpid(), limits.cpu_seconds, limits.memory, limits.nice)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, *map(str, bounds), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**_environment(), **(environment or {})},
        start_new_session=True,  # signals of the terminal are for the server
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(given), limits.seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    assert process.returncode is not None, "it was waited for"
    return process.returncode, (said.splitlines() or [b""])[-1].decode(errors="replace")


def _environment() -> dict[str, str]:
    """That of the server, but for its settings: it needs no keys."""

    def needed(name: str) -> bool:
        return name in _NEEDED or not (name.startswith("PURPORT_") or name.endswith("_API_KEY"))

    return {name: value for name, value in os.environ.items() if needed(name)}


def begin() -> list[str]:
    """In the process: apply its limits. Its further arguments."""
    server, cpu_seconds, memory, nice = map(int, sys.argv[1:5])
    die_with(server)
    isolate()
    _give_way(nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text(_FIRST_KILLED, "utf-8")
    return sys.argv[5:]


def _give_way(nice: int) -> None:
    """Be ``nice``; and so the session, of which this process has its own: Linux may share the cores among sessions."""
    nice = os.nice(nice)
    for _ in range(_TRIES if nice else 0):
        try:
            Path("/proc/self/autogroup").write_text(str(nice), "utf-8")
        except BlockingIOError:  # who is not root may do so ten times a second, whoever else does it
            time.sleep(_AGAIN_S)
        except OSError:  # another kernel
            return
        else:
            return


def end(status: int, said: str = "") -> None:
    """In the process: say one line and exit, without waiting for the threads of libraries."""
    sys.stdout.write(f"\n{said}\n")
    sys.stdout.flush()
    os._exit(status)
