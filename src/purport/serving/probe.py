"""Tries a bundle in a process of its own, with limits, before any worker loads it.

ONNX Runtime and tokenizers read a bundle in native code. A bundle from a stranger can keep them busy for ever, make
them take all memory, or crash them. That must not happen in a worker, where the texts of others are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from pathlib import Path

from ..bundle import Bundle
from ..errors import BundleError, BundleUnsupported, PurportError
from ..isolation import isolate
from ..settings import PROVIDER_URLS
from ..signature import PublicKeys
from .worker import opened

_SECONDS = 30.0
# Private memory: what Python and the libraries need, and a multiple of the files, which are copied and rearranged.
_MEMORY, _TIMES = 2**30, 6
_NICE = 10
_FIRST_KILLED = "1000"
_REFUSED = 3


async def probe(bundle: Bundle, device: str = "cpu", signed_by: PublicKeys | None = None) -> None:
    """Open ``bundle`` and answer texts with it in another process, which is gone afterwards.

    Raises:
        BundleError: that failed, took longer than 30 seconds, took too much memory, or killed the process.
    """
    memory = _MEMORY + _TIMES * bundle.size if device == "cpu" else 0  # drivers of graphics cards reserve any amount
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "purport.serving.probe", str(bundle.path), bundle.manifest.id, device, str(memory),
        signed_by.to_text() if signed_by else "",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _SECONDS)
    except TimeoutError:
        raise BundleUnsupported(f"{bundle.path}: the model took longer than {_SECONDS:g} seconds to load") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode == _REFUSED:
        raise BundleError(str(json.loads(said.splitlines()[-1])))
    if process.returncode:
        raise BundleUnsupported(
            f"{bundle.path}: the process that tried the model died of {process.returncode}; check memory"
        )


def _environment() -> dict[str, str]:
    """What the process needs; it needs no keys."""

    def needed(name: str) -> bool:
        return name == PROVIDER_URLS or not (name.startswith("PURPORT_") or name.endswith("_API_KEY"))

    kept = {name: value for name, value in os.environ.items() if needed(name)}
    return {**kept, "TOKENIZERS_PARALLELISM": "false", "MALLOC_ARENA_MAX": "1"}


def _limit(memory: int) -> None:
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(_SECONDS), int(_SECONDS)))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text(_FIRST_KILLED, "utf-8")


def main() -> int:
    """``python -m purport.serving.probe PATH ID DEVICE MEMORY KEYS``; exit code 3: it is refused."""
    isolate()
    path, bundle, device, memory, keys = sys.argv[1:]
    _limit(int(memory))
    try:
        opened(path, bundle, PublicKeys.of_text(keys), device=device, threads=1)
    except PurportError as error:
        sys.stdout.write(f"\n{json.dumps(str(error))}\n")
        return _REFUSED
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # do not wait for threads of libraries
