"""What this process may use of the machine: a container or a service is often given less than what is there.

Sources: `cpu.max` and `memory.max` of control groups v2
(https://docs.kernel.org/admin-guide/cgroup-v2.html), `cpu.cfs_quota_us` and `memory.limit_in_bytes` of v1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
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


def memory() -> int:
    """Bytes of memory that this process and its children may use: the machine's, or what its control groups allow."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_values("", "memory.max"), *_values("memory", "memory.limit_in_bytes")]
    return min([installed, *(int(limit) for limit in limits if limit.isdigit())])


def _cpu_quotas() -> Iterator[float]:
    for line in _values("", "cpu.max"):
        quota, period = line.split()
        if quota != "max":
            yield int(quota) / int(period)
    for quota, period in zip(_values("cpu", "cpu.cfs_quota_us"), _values("cpu", "cpu.cfs_period_us"), strict=True):
        if int(quota) > 0:
            yield int(quota) / int(period)


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
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
