"""One kind of attack after the other, and a polite client at 20 requests/s beside it.

The polite client must get only 200, 99 % of its answers within 150 ms, and the server's processes may have grown by at
most 60 MB afterwards; otherwise the exit code is 1. Attackers run in a process of their own, with the server's
priority, and come from another address than the polite client. All are in one session: where Linux shares the cores
among sessions (`sched_autogroup`), a polite client beside attackers waits up to 150 ms for a core. `late_ms` is how
late the polite client itself was at most, and `stolen_ms` what the host of a virtual machine took from its cores
meanwhile.

python benchmarks/serving/hostile.py --output results/serving/hostile.json
python benchmarks/serving/hostile.py --limits --output results/serving/hostile-512m.json    # as root: 512 MB, one CPU
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from attacks import ATTACKS, BODY, MANY, Target, texts
from harness import Running, free_port, machine, serving, write

EVERY_S, BULK_EVERY_S, AFTER_S = 0.05, 0.5, 3
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
        attack(name, int(port), arguments.seconds)
        return
    port = free_port()
    command = [sys.executable, "-m", "purport", "serve", arguments.bundle, "--port", str(port), "--cache", "0"]
    environment = {"PURPORT_DRAIN_SECONDS": "0"}
    with limits(arguments.limits) as group:
        with serving([*group.enter, *command], port, "/ready", environment=environment) as server:
            found = replay(server, arguments.only or "", arguments.seconds)
            workers = len(server.processes()) - 1
        found |= {"workers": workers, "limits": group.said()}
    broken = [f"{name}: {what}" for name, row in found["attacks"].items() for what in row["broken"]]
    if found["limits"] and found["limits"]["killed_for_memory"]:
        broken.append("processes were killed because memory was short")
    options = f"{' --limits' if arguments.limits else ''} --seconds {arguments.seconds:g}"
    head = {
        "command": f"python benchmarks/serving/hostile.py{options}",
        "machine": machine(),
        "seconds": arguments.seconds,
    }
    write(arguments.output, {**head, "bundle": arguments.bundle, **found, "broken": broken})
    sys.exit(bool(broken))


def replay(server: Running, only: str, seconds: float) -> dict[str, Any]:
    """Every attack in turn; a row for each."""
    httpx.post(f"http://127.0.0.1:{server.port}/v1/classify", content=MANY, headers=JSON, timeout=60)  # warm
    rows = {}
    for name in (name for name in ATTACKS if only in name):
        processes, memory = {each.pid for each in server.processes()}, sizes(server)
        row = asyncio.run(beside(server, name, seconds))
        row["grown_mb"] = round(sizes(server) - memory, 1)
        row["died"] = len(processes - {each.pid for each in server.processes()})
        rows[name] = {**row, "broken": broken(row)}
        print(name, json.dumps(rows[name]), file=sys.stderr, flush=True)
    return {"attacks": rows}


async def beside(server: Running, name: str, seconds: float) -> dict[str, Any]:
    """What a polite client sees before, during and after an attack, and what the attacker got."""
    command = [__file__, "--attack", name, str(server.port), "--seconds", str(seconds)]
    async with Polite(f"http://127.0.0.1:{server.port}") as client:
        await asyncio.sleep(seconds / 2)
        attacker = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        assert attacker.stdout
        await attacker.stdout.readline()
        before = client.seen()
        said, _ = await attacker.communicate()
        during = client.seen()
        await asyncio.sleep(AFTER_S)
    return {"statuses": json.loads(said), "before": before, "during": during, "after": client.seen()}


def broken(row: dict[str, Any]) -> list[str]:
    """The bounds that do not hold in ``row``."""
    found = []
    for when in ("before", "during", "after"):
        wrong = {status: count for status, count in row[when]["statuses"].items() if status != "200"}
        if wrong:
            found.append(f"{when} it the polite client got {wrong}")
        if row[when]["p99_ms"] >= P99_MS:
            found.append(f"{when} it p99 was {row[when]['p99_ms']} ms, at most {P99_MS}")
    if row["grown_mb"] > MORE_MB:
        found.append(f"{row['grown_mb']} MB more, at most {MORE_MB}")
    if row["died"]:
        found.append(f"{row['died']} processes of the server died")
    return found


def sizes(server: Running) -> float:
    """Megabytes in memory of all processes of the server, without what they share."""
    return float(sum(each.memory_full_info().uss for each in server.processes()) / 1e6)


class Polite:
    """Asks every 50 ms, and twice a second for twenty texts, whether or not it was answered."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=10)
        self._tasks = asyncio.TaskGroup()
        self._over = False
        self._forget()

    @staticmethod
    def _stolen_ms() -> float:
        return 1e3 * float(getattr(psutil.cpu_times(), "steal", 0.0))

    def _forget(self) -> None:
        self._took: dict[str, list[float]] = {"/intent": [], "/v1/classify": []}
        self._statuses: Counter[str] = Counter()
        self._late_ms, self._stolen_before = 0.0, self._stolen_ms()

    async def __aenter__(self) -> Polite:
        await self._client.__aenter__()
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run())
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._over = True
        await self._tasks.__aexit__(*error)
        await self._client.__aexit__(*error)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began, tick = loop.time(), 0
        while not self._over:
            self._tasks.create_task(self._ask("/intent", BODY))
            if tick % round(BULK_EVERY_S / EVERY_S) == 0:
                self._tasks.create_task(self._ask("/v1/classify", BULK))
            tick += 1
            await asyncio.sleep(max(0.0, began + tick * EVERY_S - loop.time()))
            self._late_ms = max(self._late_ms, 1e3 * (loop.time() - began - tick * EVERY_S))

    async def _ask(self, path: str, body: bytes) -> None:
        began = time.perf_counter()
        try:
            status = str((await self._client.post(path, content=body, headers=JSON)).status_code)
        except httpx.HTTPError as error:
            status = type(error).__name__
        self._statuses[status] += 1
        self._took[path].append(1e3 * (time.perf_counter() - began))

    def seen(self) -> dict[str, Any]:
        """What was answered since the last time, in milliseconds."""
        intent, bulk, statuses = self._took["/intent"], self._took["/v1/classify"], self._statuses
        late, stolen = self._late_ms, self._stolen_ms() - self._stolen_before
        self._forget()
        return {
            "requests": statuses.total(),
            "statuses": dict(statuses),
            **percentiles(intent),
            "bulk_p50_ms": round(statistics.median(bulk), 1),
            "bulk_max_ms": round(max(bulk), 1),
            "late_ms": round(late, 1),
            "stolen_ms": round(stolen, 1),
        }


def percentiles(took: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    p99 = statistics.quantiles(took, n=100, method="inclusive")[98]
    return {"p50_ms": round(statistics.median(took), 1), "p99_ms": round(p99, 1), "max_ms": round(max(took), 1)}


def attack(name: str, port: int, seconds: float) -> None:
    """Run an attack; print a line when it begins, and then how often it got each status."""
    kind, target = ATTACKS[name], Target(("127.0.0.1", port), ATTACKER)
    print("begins", flush=True)
    end = time.monotonic() + seconds
    statuses: Counter[str] = Counter()

    def client() -> None:
        while (left := end - time.monotonic()) > 0:
            try:
                statuses.update(kind.round(target, left))
            except OSError as error:
                statuses[type(error).__name__] += 1

    threads = [threading.Thread(target=client) for _ in range(kind.clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    print(json.dumps(statuses))


class Group:
    """A control group with 512 MB and one CPU; versions 1 and 2 of the kernel's interface."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup")) -> None:
        name = f"purport-hostile-{os.getpid()}"
        ours = {
            c: path for line in Path("/proc/self/cgroup").read_text().split() for _, c, path in [line.split(":", 2)]
        }
        if (root / "cgroup.controllers").exists():
            (root / "cgroup.subtree_control").write_text("+memory +cpu")
            values = {"": {"memory.max": MEMORY, "memory.swap.max": 0, "cpu.max": "100000 100000"}}
            ours = {}
            self._counted, self._peak = "memory.events", "memory.peak"
        else:
            values = {"memory": {"memory.limit_in_bytes": MEMORY}, "cpu": {"cpu.cfs_quota_us": 100_000}}
            self._counted, self._peak = "memory.oom_control", "memory.max_usage_in_bytes"
        # Of version 1 below our own groups; of version 2 below the root, where groups may have limits.
        self.folders = [root / each / ours.get(each, "").lstrip("/") / name for each in values]
        for folder, files in zip(self.folders, values.values(), strict=True):
            folder.mkdir()
            for file, value in files.items():
                (folder / file).write_text(str(value))
        into = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self.folders)
        self.enter = ["sh", "-c", f'{into}; exec "$@"', "sh"]

    def _kills(self) -> int:
        """How many processes were killed because memory was short."""
        lines = (self.folders[0] / self._counted).read_text().splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])

    def said(self) -> dict[str, Any]:
        """The limits and what was used."""
        return {
            "memory_mib": MEMORY // 2**20,
            "cpus": 1,
            "peak_mib": int((self.folders[0] / self._peak).read_text()) // 2**20,
            "killed_for_memory": self._kills(),
        }


class NoGroup:
    """No limits."""

    enter: tuple[str, ...] = ()

    def said(self) -> None:
        """Nothing to say."""


@contextmanager
def limits(on: bool) -> Iterator[Any]:
    """A control group for the server, if ``on``; removed afterwards."""
    if not on:
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
