"""Five times more requests than can be answered, and a worker that is killed: what clients see, second by second.

python benchmarks/serving/overload.py --output results/serving/overload.json
python benchmarks/serving/overload.py --image intent-classifier-inference --output results/serving/container.json
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import threading
import time
from pathlib import Path
from typing import Any

from harness import INTENT_BODY, Running, container, machine, purport, text_file, texts_of, write, wrk

CONNECTIONS = 2000
FACTOR = 5
LIMITS = ["--read-only", "--cap-drop", "ALL", "--memory", "512m", "--cpus", "1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="atis")
    parser.add_argument("--image", help="run this image in a small container (see LIMITS), as root, instead")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    file = text_file(texts_of("atis"))
    deadline_ms = 500
    os.environ["PURPORT_DEADLINE_MS"] = str(deadline_ms)
    image = arguments.image
    with container(image, *LIMITS) if image else purport(arguments.bundle, "--cache", "0") as server:
        found = overload(server, file, arguments.seconds)
        found["killed_worker"] = killed(server, file)
        found |= {"container": {"limits": " ".join(LIMITS), **server.memory()}} if image else {}
    write(
        arguments.output,
        {
            "command": f"python benchmarks/serving/overload.py{f' --image {image}' if image else ''}",
            "machine": machine(),
            "deadline_ms": deadline_ms,
            **found,
        },
    )


def overload(server: Running, file: str, seconds: float) -> dict[str, Any]:
    """Poisson arrivals at five times the capacity."""

    def closed(duration: float = 5) -> dict[str, Any]:
        return wrk(server.port, "/intent", INTENT_BODY, file, clients=64, seconds=duration)

    closed()
    before = [closed()["per_s"] for _ in range(3)]
    capacity = statistics.median(before)
    pause = 1e3 * CONNECTIONS / (FACTOR * capacity)
    # A client's pause begins with its answer: what it waits for that is taken off.
    trial = wrk(server.port, "/intent", INTENT_BODY, file, clients=CONNECTIONS, seconds=5, pause_ms=pause)
    pause = 2 * pause - 1e3 * CONNECTIONS * trial["seconds"] / trial["requests"]
    over = wrk(server.port, "/intent", INTENT_BODY, file, clients=CONNECTIONS, seconds=seconds, pause_ms=pause)
    after = [closed(2), closed()]
    return {
        "capacity_per_s": capacity,
        "offered_per_s": round(over["requests"] / over["seconds"]),
        "accepted_per_s": over["per_s"],
        "accepted_over_capacity": round(over["per_s"] / capacity, 3),
        # Of all answers. Most are rejections, so the median is theirs; the slowest are accepted ones, and where a
        # tenth of all is accepted, 99.9 % of all is 99 % of those.
        "all_p50_ms": over["p50_ms"],
        "all_p99_9_ms": over["p999_ms"],
        "all_max_ms": over["max_ms"],
        "not_200": over["not_200"],
        "timeouts": over["timeouts"],
        "first_two_seconds_after_per_s": after[0]["per_s"],
        "first_two_seconds_after_p99_ms": after[0]["p99_ms"],
        "then_per_s": after[1]["per_s"],
    }


def killed(server: Running, file: str) -> dict[str, Any]:
    """``kill -9`` of a worker under the load of 64 clients."""
    workers = server.processes()[1:]
    back: list[float] = []

    def kill() -> None:
        time.sleep(2)
        os.kill(workers[0].pid, signal.SIGKILL)
        started = time.monotonic()
        while len(server.processes()) <= len(workers) or workers[0].pid in {p.pid for p in server.processes()}:
            time.sleep(0.01)
        back.append(time.monotonic() - started)

    thread = threading.Thread(target=kill)
    thread.start()
    run = wrk(server.port, "/intent", INTENT_BODY, file, clients=64, seconds=10)
    thread.join()
    numbers = ("per_s", "not_200", "socket_errors", "timeouts", "max_ms")
    return {"process_back_s": round(back[0], 2), **{name: run[name] for name in numbers}}


if __name__ == "__main__":
    main()
