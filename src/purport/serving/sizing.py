"""How many worker processes a server starts when it is not told."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..resources import cpus, memory

_MIB = 2**20
# Measured with the shipped bundle after batches of the longest texts: the server process has 86 MiB, a worker 137 MiB,
# of which the libraries are 60 and the rest grows with the weights.
_SERVER_BYTES = 128 * _MIB
_WORKER_BYTES = 80 * _MIB
_PER_BUNDLE_BYTE = 4


def default_workers(device: str, threads: int, bundles: Iterable[Path]) -> int:
    """One worker per CPU, or per ``threads`` CPUs, as far as memory goes, at least one; a GPU is fed by one.

    CPUs and memory are those that the process may use (:mod:`purport.resources`), not those of the machine.
    """
    if device != "cpu":
        return 1
    weights = sum(file.stat().st_size for folder in bundles for file in folder.rglob("*") if file.is_file())
    room = (memory() - _SERVER_BYTES) // (_WORKER_BYTES + _PER_BUNDLE_BYTE * weights)
    return max(1, min(cpus() // threads, room))
