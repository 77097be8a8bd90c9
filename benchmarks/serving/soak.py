"""Ten minutes of everything at once: load, swaps, clients that leave, nonsense; every answer compared.

    python benchmarks/serving/soak.py --output results/serving/soak.json
    python benchmarks/serving/soak.py --proxy nginx --output results/serving/soak_nginx.json

The load is 80 % of what closed-loop clients get from the same server just before. Every ten seconds the model is
swapped for the next of the bundles. Each answer says which bundle gave it, and has to be what that bundle answers
offline. Memory (proportional set size) and file descriptors are those of the server and its workers.

With ``--proxy`` all of it goes through nginx or HAProxy, which is reloaded every ten seconds. A proxy that is reloaded
closes connections that are idle; a client that finds its connection closed before any of the answer asks once more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from harness import KEY, Running, machine, purport, texts_of, wait, write
from proxy import PROGRAMS, Proxy, proxy

from purport import Classifier

CONNECTIONS = 64
SWAP_S = 10.0
RELOAD_S = 10.0
WARM_S = 60.0
_END = b"\r\n\r\n"
NONSENSE = [b"", b"{", b'{"text": 5}', b'{"text": ""}', b"\xff\xfe", b'["text"]', b'{"txt": "x"}']
# Largest difference between a confidence in a batch and the same alone, and half a unit of its rounding.
TOLERANCE = 1e-3


Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


class Link(NamedTuple):
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass
class Tally:
    """What happened."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    left: int = 0
    swaps: int = 0
    reloads: int = 0
    asked_again: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


class Soak:
    """Clients, swapper and watcher of one server, and a ``front`` before it."""

    def __init__(self, server: Running, bundles: list[str], texts: list[str], front: Proxy | None = None) -> None:
        self.server, self.bundles, self.texts, self.front = server, bundles, texts, front
        self.port, self.prefix = (front.port, front.prefix) if front else (server.port, "")
        self.tally = Tally()
        self.expected: dict[str, dict[str, dict[str, float]]] = {}
        for ref in bundles:
            classifier = Classifier.open(ref, threads=1)
            rows = [classifier.predict([text])[0] for text in texts]
            answers = {text: {each.label: each.confidence for each in row.ranked} for text, row in zip(texts, rows)}  # noqa: B905
            self.expected[classifier.bundle.manifest.id] = answers

    async def run(self, seconds: float, pause_s: float) -> Tally:
        """Soak; each connection sends a request every ``pause_s`` seconds on average, or as soon as it can."""
        self.end = time.monotonic() + seconds
        clients = [self._client(random.Random(number), pause_s) for number in range(CONNECTIONS)]
        await asyncio.gather(*clients, self._swapper(), self._watcher(), self._reloader())
        return self.tally

    async def capacity(self, seconds: float = 5.0) -> float:
        """Requests a second that the same clients get without a pause."""
        self.end = time.monotonic() + seconds
        await asyncio.gather(*(self._client(random.Random(number), 0.0) for number in range(CONNECTIONS)))
        rate = self.tally.statuses[200] / seconds
        self.tally = Tally()
        return rate

    async def _client(self, rng: random.Random, pause_s: float) -> None:
        link = await self._connect()
        due = time.monotonic()
        while time.monotonic() < self.end:
            # By the clock, however long answers take: the rate is what was asked for.
            due += rng.expovariate(1 / pause_s) if pause_s else 0
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            kind = rng.random() if pause_s else 1.0
            text = rng.choice(self.texts)
            body = rng.choice(NONSENSE) if kind < 0.02 else json.dumps({"text": text}).encode()
            request = _request("POST", f"{self.prefix}/intent", body)
            if 0.02 <= kind < 0.03:
                # Gone before the answer.
                self.tally.left += 1
                link.writer.write(request)
                link.writer.close()
                link = await self._connect()
                continue
            started = time.perf_counter()
            link, (status, headers, answer) = await self._ask(link, request)
            self.tally.seconds.append(time.perf_counter() - started)
            self.tally.statuses[status] += 1
            if status == 200:
                self._check(text, headers["purport-bundle"], answer)
            elif (status != 400 or kind >= 0.02) and b"OVERLOADED" not in answer:  # a 503 without that is the proxy's
                self.tally.failures.append(f"{status} {answer[:200]!r}")
            if self.front and headers.get("connection") == "close":
                link.writer.close()
                link = await self._connect()
        link.writer.close()

    async def _ask(self, link: Link, request: bytes) -> tuple[Link, Answer]:
        """The answer, and the connection that it came by: another one if a proxy had closed ``link``."""
        try:
            link.writer.write(request)
            head = await link.reader.readuntil(_END)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            if not self.front or getattr(error, "partial", b""):
                raise
            link.writer.close()
            self.tally.asked_again += 1
            link = await self._connect()
            link.writer.write(request)
            head = await link.reader.readuntil(_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return link, (int(first.split()[1]), headers, await link.reader.readexactly(int(headers["content-length"])))

    def _check(self, text: str, bundle: str, answer: bytes) -> None:
        self.tally.checked[bundle] += 1
        expected = self.expected[bundle][text]
        top = sorted(expected.values(), reverse=True)[:3]
        found = json.loads(answer)["intents"]
        close = all(abs(each["confidence"] - expected[each["label"]]) <= TOLERANCE for each in found)
        same = all(abs(each["confidence"] - best) <= TOLERANCE for each, best in zip(found, top, strict=True))
        if not (close and same):
            self.tally.wrong.append(f"{bundle}: {text}")

    async def _swapper(self) -> None:
        turn = 0
        while time.monotonic() + SWAP_S < self.end:
            await asyncio.sleep(SWAP_S)
            turn += 1
            body = json.dumps({"bundle": self.bundles[turn % len(self.bundles)]}).encode()
            request = _request("PUT", f"{self.prefix}/v1/models/main", body)
            link, (status, _, answer) = await self._ask(await self._connect(), request)
            link.writer.close()
            self.tally.swaps += status == 200
            if status != 200:
                self.tally.failures.append(f"swap: {status} {answer[:200]!r}")

    async def _watcher(self) -> None:
        while time.monotonic() < self.end:
            processes = self.server.processes()
            pss, descriptors = await asyncio.to_thread(_held, processes)
            self.tally.memory.append(pss / 2**20)
            self.tally.descriptors.append(descriptors)
            await asyncio.sleep(1.0)

    async def _reloader(self) -> None:
        while self.front and time.monotonic() + RELOAD_S < self.end:
            await asyncio.sleep(RELOAD_S)
            self.front.reload()
            self.tally.reloads += 1

    async def _connect(self) -> Link:
        return Link(*await asyncio.open_connection("127.0.0.1", self.port))


def _held(processes: Sequence[psutil.Process]) -> tuple[int, int]:
    """Memory in bytes and open descriptors; a process that tried a bundle may have ended meanwhile."""
    pss = descriptors = 0
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            pss += each.memory_full_info().pss
            descriptors += each.num_fds()
    return pss, descriptors


def _request(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def growth(samples: list[float], warm: int) -> float:
    """Relative growth from the median of a minute after the first to that of the last."""
    span = max(3, min(60, (len(samples) - warm) // 3))
    first, last = samples[warm : warm + span], samples[-span:]
    return statistics.median(last) / statistics.median(first) - 1


def soak(
    server: Running, bundles: list[str], texts: list[str], seconds: float, front: Proxy | None = None
) -> dict[str, Any]:
    """Run it; what was found."""
    run = Soak(server, bundles, texts, front)
    capacity = asyncio.run(run.capacity())
    tally = asyncio.run(run.run(seconds, CONNECTIONS / (0.8 * capacity)))
    warm = min(int(WARM_S), len(tally.memory) // 3)
    quantiles = statistics.quantiles(tally.seconds, n=100)
    return {
        "seconds": seconds,
        "capacity_per_s": round(capacity),
        "requests_per_s": round(sum(tally.statuses.values()) / seconds),
        "p50_ms": round(1e3 * quantiles[49], 2),
        "p99_ms": round(1e3 * quantiles[98], 2),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "answers_checked": dict(tally.checked),
        "wrong_answers": len(tally.wrong),
        "unexpected": tally.failures[:10],
        "clients_that_left": tally.left,
        "swaps": tally.swaps,
        **({"reloads": tally.reloads, "asked_again": tally.asked_again} if front else {}),
        "memory_mib": {"after_warm_up": round(tally.memory[warm]), "end": round(tally.memory[-1])},
        "memory_growth": round(growth(tally.memory, warm), 4),
        "descriptors": {"after_warm_up": tally.descriptors[warm], "end": tally.descriptors[-1]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", default=["atis"], help="swapped in turn; best three or more")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--proxy", choices=[*PROGRAMS], help="put it in front of the server, and reload it")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        server = stack.enter_context(purport(f"main={arguments.bundles[0]}", "--cache", "0", "--models-dir", "/"))
        front = None
        if arguments.proxy:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            front = stack.enter_context(proxy(arguments.proxy, f"127.0.0.1:{server.port}", folder))
            wait(f"{front.url}/ready", lambda: front.process.poll() is None)
        found = soak(server, arguments.bundles, texts_of("atis"), arguments.seconds, front)
        if front and found["unexpected"]:
            print(front.log.read_text("utf-8"), file=sys.stderr)
    command = f"python benchmarks/serving/soak.py {' '.join(arguments.bundles)} --seconds {arguments.seconds:g}"
    command += f" --proxy {arguments.proxy}" if arguments.proxy else ""
    write(arguments.output, {"command": command, "machine": machine(), **found})


if __name__ == "__main__":
    main()
