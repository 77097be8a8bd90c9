"""Worker and thread counts follow what a container is given, not what the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from purport import resources
from purport.bundle import locate
from purport.serving import sizing

MIB = 2**20


class Groups:
    """A tree of control groups, and the lines of /proc/self/cgroup."""

    def __init__(self, root: Path) -> None:
        self.root, self.ours = root / "cgroup", root / "self"
        self.ours.write_text("0::/\n")

    def write(self, file: str, content: str) -> None:
        (self.root / file).parent.mkdir(parents=True, exist_ok=True)
        (self.root / file).write_text(content + "\n")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    found = Groups(tmp_path)
    monkeypatch.setattr(resources, "_GROUPS", found.root)
    monkeypatch.setattr(resources, "_OURS", found.ours)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64), raising=False)
    return found


def test_without_limits_the_machine_counts(groups: Groups) -> None:
    assert resources.cpus() == 64
    assert resources.memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("cpu_max", "expected"),
    [("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("9900000 100000", 64)],
)
def test_a_quota_of_version_2(groups: Groups, cpu_max: str, expected: int) -> None:
    groups.write("cpu.max", cpu_max)
    assert resources.cpus() == expected


def test_the_smallest_quota_above_a_nested_group_counts(groups: Groups) -> None:
    groups.ours.write_text("0::/system.slice/purport.service\n")
    groups.write("system.slice/cpu.max", "300000 100000")
    groups.write("system.slice/memory.max", str(700 * MIB))
    groups.write("system.slice/purport.service/cpu.max", "500000 100000")
    groups.write("system.slice/purport.service/memory.max", "max")
    assert resources.cpus() == 3
    assert resources.memory() == 700 * MIB


def test_version_1_in_a_container_that_sees_the_path_of_the_host(groups: Groups) -> None:
    groups.ours.write_text("4:memory:/docker/1f\n2:cpu,cpuacct:/docker/1f\n1:name=systemd:/docker/1f\n")
    groups.write("cpu/cpu.cfs_quota_us", "150000")
    groups.write("cpu/cpu.cfs_period_us", "50000")
    groups.write("memory/memory.limit_in_bytes", str(512 * MIB))
    assert resources.cpus() == 3
    assert resources.memory() == 512 * MIB


def test_version_1_without_limits(groups: Groups) -> None:
    groups.ours.write_text("4:memory:/\n2:cpu:/\n")
    groups.write("cpu/cpu.cfs_quota_us", "-1")
    groups.write("cpu/cpu.cfs_period_us", "100000")
    groups.write("memory/memory.limit_in_bytes", str(0x7FFFFFFFFFFFF000))
    assert resources.cpus() == 64
    assert resources.memory() < 2**60


@pytest.mark.parametrize("content", ["", "max", "100000", "many 100000", "100000 0", "-1 -1", "\x00"])
def test_what_cannot_be_read_is_no_limit(groups: Groups, content: str) -> None:
    groups.ours.write_bytes(b"0::/\xff\n0::/\nrubbish:\n".replace(b"rubbish:\n", b""))
    groups.write("cpu.max", content)
    groups.write("memory.max", content)
    assert resources.cpus() == 64


def test_workers_follow_cpus_and_memory(groups: Groups) -> None:
    bundle = [locate("atis")]
    groups.write("memory.max", str(16_384 * MIB))
    groups.write("cpu.max", "800000 100000")
    assert sizing.default_workers("cpu", 1, bundle) == 8
    assert sizing.default_workers("cpu", 3, bundle) == 2
    assert sizing.default_workers("cuda", 1, bundle) == 1
    groups.write("memory.max", str(512 * MIB))
    assert 1 <= sizing.default_workers("cpu", 1, bundle) <= 3
    groups.write("memory.max", str(64 * MIB))
    assert sizing.default_workers("cpu", 1, bundle) == 1
