"""What this process may use of the machine: a container or a service is often given less than what is there.

Sources: `cpu.max` and `memory.max` of control groups v2
(https://docs.kernel.org/admin-guide/cgroup-v2.html), `cpu.cfs_quota_us` and `memory.limit_in_bytes` of v1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OURS = Path("/proc/self/cgroup")


def cpus() -> int:
    """Number of CPUs that this process can keep busy, at least 1.

    The smaller of the CPUs it may run on and the quota of its control groups; of 2.5 CPUs it uses 2, because a
    process more than the quota is paused again and again.
    """
    # Not every system tells which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([cores, *_cpu_quotas()])))


@contextmanager
def waiting_threads_sleep() -> Iterator[None]:
    """In this block, an OpenMP library that is loaded lets its threads sleep while they wait, instead of spinning.

    A spinning thread takes a core from another process, and from the thread that it waits for if that one shares its
    core. The library (``libgomp`` in torch) reads ``OMP_WAIT_POLICY`` once, when it is loaded. A value of the user's
    is kept. See benchmarks/training_threads.py.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        yield
    finally:
        del os.environ["OMP_WAIT_POLICY"]


def memory() -> int:
    """Bytes of memory that this process and its children may use: the machine's, or what its control groups allow."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_values("", "memory.max"), *_values("memory", "memory.limit_in_bytes")]
    return min([installed, *(limit for limit in map(_number, limits) if limit)])


def _cpu_quotas() -> Iterator[float]:
    version_2 = (line.partition(" ")[::2] for line in _values("", "cpu.max"))
    version_1 = zip(_values("cpu", "cpu.cfs_quota_us"), _values("cpu", "cpu.cfs_period_us"), strict=False)
    for pair in (*version_2, *version_1):
        quota, period = map(_number, pair)
        if quota and period:
            yield quota / period


def _number(text: str) -> int:
    """``text`` as a number; 0 for ``max``, -1 and whatever else sets no limit."""
    return int(text) if text.isdecimal() else 0


def _values(controller: str, file: str) -> Iterator[str]:
    """Content of ``file`` in the control group of this process and in each above it; ``controller`` is "" for v2.

    Inside a container the path may be the one that the host sees; what is mounted then is the container's own group.
    """
    for line in _read(_OURS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            group = Path(path.lstrip("/"))
            for folder in (group, *group.parents) if group.name else (group,):
                if found := _read(_GROUPS / controller / folder / file):
                    yield found


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
