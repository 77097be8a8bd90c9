"""One kind of attack after the other, and a polite client at 20 requests/s beside it.

The polite client must get only 200, 99 % of its answers within 150 ms, and the server's processes may have grown by at
most 60 MB afterwards; otherwise the exit code is 1. Attackers run in a process of their own, at the server's priority, and
come from another address than the polite client.

python benchmarks/serving/hostile.py --output results/serving/hostile.json
python benchmarks/serving/hostile.py --limits --output results/serving/hostile-512m.json    # as root: 512 MB, one CPU
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
from attacks import ATTACKS, BODY, MANY, Target, texts
from harness import Running, free_port, machine, serving, write

EVERY_S, BULK_EVERY_S = 0.05, 0.5
P99_MS, MORE_MB = 150, 60
ATTACKER = "127.0.0.2"
MEMORY = 512 * 2**20
JSON = {"Content-Type": "application/json"}
BULK = texts(*(f"where is my parcel {number}" for number in range(20)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="atis")
    parser.add_argument("--limits", action="store_true", help="give the server 512 MB and one CPU (as root)")
    parser.add_argument("--seconds", type=float, default=10, help="length of each attack, and of the time before it")
    parser.add_argument("--only", help="run only attacks with this in their name")
    parser.add_argument("--output", type=Path, default=Path("results/serving/hostile.json"))
    parser.add_argument("--attack", nargs=2, metavar=("NAME", "PORT"), help="run one attack and print what it got")
    arguments = parser.parse_args()
    if arguments.attack:
        name, port = arguments.attack
        print(json.dumps(attack(name, int(port), arguments.seconds)))
        return
    port = free_port()
    command = [sys.executable, "-m", "purport", "serve", arguments.bundle, "--port", str(port), "--cache", "0"]
    environment = {"PURPORT_DRAIN_SECONDS": "0"}
    with limits(arguments.limits) as group:
        with serving([*group.enter, *command], port, "/ready", environment=environment) as server:
            found = replay(server, arguments.only or "", arguments.seconds)
            workers = len(server.processes()) - 1
        found |= {"limits": group.said(), "workers": workers}
    broken = [f"{name}: {what}" for name, row in found["attacks"].items() for what in row["broken"]]
    if group.kills():
        broken.append(f"{group.kills()} processes were killed because memory was short")
    options = " --limits" if arguments.limits else ""
    head = {"command": f"python benchmarks/serving/hostile.py{options}", "machine": machine(), "seconds": arguments.seconds}
    write(arguments.output, {**head, "bundle": arguments.bundle, **found, "broken": broken})
    sys.exit(bool(broken))


def replay(server: Running, only: str, seconds: float) -> dict[str, Any]:
    """Every attack in turn; a row for each."""
    httpx.post(f"http://127.0.0.1:{server.port}/v1/classify", content=MANY, headers=JSON, timeout=60)  # warm
    rows = {}
    for name in (name for name in ATTACKS if only in name):
        pids = [each.pid for each in server.processes()]
        before = polite(server, seconds / 2)
        memory = sizes(server)
        attacker = subprocess.Popen(
            [sys.executable, __file__, "--attack", name, str(server.port), "--seconds", str(seconds)],
            stdout=subprocess.PIPE,
        )
        during = polite(server, attacker=attacker)
        said, _ = attacker.communicate()
        after = polite(server, 2)
        grown = sizes(server) - memory
        row = {
            "statuses": json.loads(said),
            "before": before,
            "during": during,
            "after": after,
            "grown_mb": round(grown, 1),
            "restarted": len(set(pids) - {each.pid for each in server.processes()}),
        }
        rows[name] = {**row, "broken": broken(row)}
        print(name, json.dumps(rows[name]), file=sys.stderr, flush=True)
    return {"attacks": rows}


def broken(row: dict[str, Any]) -> list[str]:
    """The bounds that do not hold in ``row``."""
    found = []
    for when in ("before", "during", "after"):
        wrong = {status: count for status, count in row[when]["statuses"].items() if status != "200"}
        if wrong:
            found.append(f"{when} it the polite client got {wrong}")
    if row["during"]["p99_ms"] >= P99_MS:
        found.append(f"p99 {row['during']['p99_ms']} ms, at most {P99_MS}")
    if row["grown_mb"] > MORE_MB:
        found.append(f"{row['grown_mb']} MB more, at most {MORE_MB}")
    if row["restarted"]:
        found.append(f"{row['restarted']} processes of the server died")
    return found


def sizes(server: Running) -> float:
    """Megabytes in memory of all processes of the server, without what they share."""
    return sum(each.memory_full_info().uss for each in server.processes()) / 1e6


def polite(server: Running, seconds: float = 1e9, attacker: subprocess.Popen[bytes] | None = None) -> dict[str, Any]:
    """What a client sees that asks every 50 ms, and twice a second for twenty texts, whether or not it was answered."""
    return asyncio.run(_polite(f"http://127.0.0.1:{server.port}", seconds, attacker))


async def _polite(url: str, seconds: float, attacker: subprocess.Popen[bytes] | None) -> dict[str, Any]:
    took: dict[str, list[float]] = {"/intent": [], "/v1/classify": []}
    statuses: Counter[str] = Counter()

    async def ask(client: httpx.AsyncClient, path: str, body: bytes) -> None:
        began = time.perf_counter()
        try:
            answer = await client.post(path, content=body, headers=JSON)
            statuses[str(answer.status_code)] += 1
        except httpx.HTTPError as error:
            statuses[type(error).__name__] += 1
        took[path].append(1e3 * (time.perf_counter() - began))

    async with httpx.AsyncClient(base_url=url, timeout=10) as client, asyncio.TaskGroup() as group:
        loop = asyncio.get_running_loop()
        began = loop.time()
        tick = 0
        while loop.time() < began + seconds and (attacker is None or attacker.poll() is None):
            group.create_task(ask(client, "/intent", BODY))
            if tick % round(BULK_EVERY_S / EVERY_S) == 0:
                group.create_task(ask(client, "/v1/classify", BULK))
            tick += 1
            await asyncio.sleep(max(0.0, began + tick * EVERY_S - loop.time()))
    return {"requests": sum(statuses.values()), "statuses": dict(statuses), **percentiles(took["/intent"]),
            "bulk_median_ms": round(statistics.median(took["/v1/classify"]), 1), "bulk_max_ms": round(max(took["/v1/classify"]), 1)}  # fmt: skip


def percentiles(took: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    p99 = statistics.quantiles(took, n=100, method="inclusive")[98]
    return {"p50_ms": round(statistics.median(took), 1), "p99_ms": round(p99, 1), "max_ms": round(max(took), 1)}


def attack(name: str, port: int, seconds: float) -> dict[str, int]:
    """Run an attack; how often it got each status."""
    kind, target = ATTACKS[name], Target(("127.0.0.1", port), ATTACKER)
    end = time.monotonic() + seconds
    statuses: Counter[str] = Counter()

    def client() -> None:
        while (left := end - time.monotonic()) > 0:
            try:
                for status in kind.round(target, left):
                    statuses[status] += 1
                    if time.monotonic() > end:
                        break
            except OSError as error:
                statuses[type(error).__name__] += 1

    threads = [threading.Thread(target=client) for _ in range(kind.clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return dict(statuses)


class Group:
    """A control group with 512 MB and one CPU; versions 1 and 2 of the kernel's interface."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup")) -> None:
        name = f"purport-hostile-{os.getpid()}"
        if (root / "cgroup.controllers").exists():
            (root / "cgroup.subtree_control").write_text("+memory +cpu")
            values = {"": {"memory.max": MEMORY, "memory.swap.max": 0, "cpu.max": "100000 100000"}}
            self._counted = root / name / "memory.events", "oom_kill"
            self._peak = root / name / "memory.peak"
        else:
            values = {"memory": {"memory.limit_in_bytes": MEMORY}, "cpu": {"cpu.cfs_quota_us": 100_000}}
            self._counted = root / "memory" / name / "memory.oom_control", "oom_kill"
            self._peak = root / "memory" / name / "memory.max_usage_in_bytes"
        self.folders = [root / controller / name for controller in values]
        for folder, files in zip(self.folders, values.values(), strict=True):
            folder.mkdir()
            for file, value in files.items():
                (folder / file).write_text(str(value))
        into = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self.folders)
        self.enter = ["sh", "-c", f'{into}; exec "$@"', "sh"]

    def kills(self) -> int:
        """How many processes were killed because memory was short."""
        file, field = self._counted
        return int(dict(line.split() for line in file.read_text().splitlines())[field])

    def said(self) -> dict[str, Any]:
        """The limits and what was used."""
        return {
            "memory_mib": MEMORY // 2**20,
            "cpus": 1,
            "peak_mib": int(self._peak.read_text()) // 2**20,
            "killed_for_memory": self.kills(),
        }


class NoGroup:
    """No limits."""

    enter: tuple[str, ...] = ()

    def kills(self) -> int:
        """Nobody was killed."""
        return 0

    def said(self) -> None:
        """Nothing to say."""


@contextmanager
def limits(on: bool) -> Iterator[Any]:
    """A control group for the server, if ``on``; removed afterwards."""
    if not on:
        with nullcontext():
            yield NoGroup()
        return
    group = Group()
    try:
        yield group
    finally:
        for folder in group.folders:
            folder.rmdir()


if __name__ == "__main__":
    main()
