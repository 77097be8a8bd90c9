"""Throughput and latency of the server, beside the engine without HTTP in the same run.

    python benchmarks/serving/load.py --output results/serving/load.json

Closed loop with 1 to 256 clients, Poisson arrivals at 50 % and 80 % of what 64 closed-loop clients get, one client
with short texts; distinct texts, cache off. Several rounds in turn, medians, because the machine's speed drifts.

    python benchmarks/serving/load.py --against /path/to/old-version/.venv/bin/python --rounds 14 --output paired.json

runs the server of another installation beside this one, both in turn, and reports the ratios. Both are started anew for
every round: one start of the same version is up to 5 % faster than the next, and stays so.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import statistics
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness import INTENT_BODY, Running, machine, purport, text_file, texts_of, write, wrk
from scipy.stats import t as student

CLIENTS = (1, 16, 64, 256)
SHARES = (0.5, 0.8)
OPEN_CONNECTIONS = 256
SHORT_WORDS = 6
RAW_BATCH = 64
# What one run leaves behind is done before the next.
PAUSE_S = 0.5
WARM_S = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="atis")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--against", help="Python interpreter with another version of purport: compare the two")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.against:
        report = paired(arguments.against, arguments.bundle, arguments.rounds, arguments.seconds)
        write(arguments.output, {"machine": machine(), "bundle": arguments.bundle, **report})
        return
    with purport(arguments.bundle, "--cache", "0") as server:
        report = measure(server, arguments.bundle, arguments.rounds, arguments.seconds)
    write(
        arguments.output,
        {"command": "python benchmarks/serving/load.py", "machine": machine(), "bundle": arguments.bundle, **report},
    )


def measure(server: Running, bundle: str, rounds: int, seconds: float) -> dict[str, Any]:
    """All of it, ``rounds`` times in turn."""
    texts = texts_of("atis")
    file, short = text_file(texts), text_file([text for text in texts if len(text.split()) <= SHORT_WORDS])

    def load(clients: int, texts_file: str = file, pause_ms: float = 0) -> dict[str, Any]:
        return once(server, texts_file, clients, seconds, pause_ms)

    load(16)  # warm up
    runs: dict[str, list[dict[str, Any]]] = {}
    raws: list[float] = []
    for _ in range(rounds):
        raws.append(raw(bundle, texts, seconds))
        for clients in CLIENTS:
            runs.setdefault(f"closed_{clients}", []).append(load(clients))
        runs.setdefault("short_1", []).append(load(1, short))
        capacity = statistics.median(run["per_s"] for run in runs["closed_64"])
        for share in SHARES:
            pause = 1e3 * OPEN_CONNECTIONS / (share * capacity)
            runs.setdefault(f"poisson_{share:.0%}", []).append(load(OPEN_CONNECTIONS, pause_ms=pause))
    rate = statistics.median(raws)
    ratios = [run["per_s"] / raw_rate for run, raw_rate in zip(runs["closed_64"], raws, strict=True)]
    return {
        "rounds": rounds,
        "engine_without_http_per_s": {"median": round(rate), "all": [round(each) for each in raws]},
        "closed_64_over_engine": {"median": round(statistics.median(ratios), 3), "all": [round(r, 3) for r in ratios]},
        "runs": {name: summary(found) for name, found in runs.items()},
        "memory_mib": round(server.memory_mib()),
        "workers": len(server.processes()) - 1,
    }


def once(server: Running, texts: str, clients: int, seconds: float, pause_ms: float = 0) -> dict[str, Any]:
    """One run of the load generator, and where the time of a request went."""
    time.sleep(PAUSE_S)
    before = spent(server)
    run = wrk(server.port, "/intent", INTENT_BODY, texts, clients=clients, seconds=seconds, pause_ms=pause_ms)
    after = spent(server)
    stages = {name: 1e6 * (after[name] - before[name]) / run["requests"] for name in after}
    return {**run, "mean_us": 1e3 * run["mean_ms"], **stages}


def paired(other: str, bundle: str, rounds: int, seconds: float) -> dict[str, Any]:
    """This version and that of the interpreter ``other``, in turn; ratios are this one's over the other's, by round."""
    file = text_file(texts_of("atis"))
    found: dict[str, dict[str, list[dict[str, Any]]]] = {"this": {}, "other": {}}
    pythons = {"this": sys.executable, "other": other}
    for number in range(rounds):
        order = sorted(pythons, reverse=bool(number % 2))
        with ExitStack() as running:
            servers = {
                name: running.enter_context(purport(bundle, "--cache", "0", python=pythons[name])) for name in order
            }
            for name in order:
                wrk(servers[name].port, "/intent", INTENT_BODY, file, clients=16, seconds=WARM_S)
            for clients in CLIENTS:
                for name in order:
                    run = once(servers[name], file, clients, seconds)
                    found[name].setdefault(f"closed_{clients}", []).append(run)
        for load, runs in found["this"].items():
            ratio = runs[-1]["per_s"] / found["other"][load][-1]["per_s"]
            print(f"round {number + 1} of {rounds}  {load}  {ratio:.3f}", file=sys.stderr, flush=True)
    return {
        "rounds": rounds,
        "ratios": {
            load: {
                number: _ratios([run[number] for run in runs], [run[number] for run in found["other"][load]])
                for number in ("per_s", "p50_ms", "p99_ms", "cpu_front_us", "cpu_workers_us")
            }
            for load, runs in found["this"].items()
        },
        "runs": {name: {load: summary(each) for load, each in runs.items()} for name, runs in found.items()},
    }


def _ratios(this: list[float], other: list[float]) -> dict[str, Any]:
    """The ratios of all rounds; their geometric mean, with its 95 % interval (Student's t of the logarithms)."""
    each = [one / another for one, another in zip(this, other, strict=True) if one > 0 < another]
    found: dict[str, Any] = {"all": [round(ratio, 3) for ratio in each]}
    if len(each) < 2:
        return found
    logs = [math.log(ratio) for ratio in each]
    reach = float(student.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    low, middle, high = (round(math.exp(statistics.mean(logs) + side * reach), 3) for side in (-1, 0, 1))
    return {"mean": middle, "interval": [low, high], "median": round(statistics.median(each), 3), **found}


def spent(server: Running) -> dict[str, float]:
    """Seconds so far, all requests together: what the server says of their stages, and the processor's."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        text = answer.read().decode()
    stages = {
        "in_server_us": 'request_seconds_sum{path="/intent"}',
        "waiting_us": "wait_seconds_sum",
        "worker_us": "work_seconds_sum",
    }
    found = {name: _value(text, f"purport_{metric}") for name, metric in stages.items()}
    front, *workers = [sum(process.cpu_times()[:2]) for process in server.processes()]
    load_generator = os.times()
    return {
        **found,
        "cpu_front_us": front,
        "cpu_workers_us": sum(workers),
        "cpu_load_generator_us": load_generator.children_user + load_generator.children_system,
    }


def _value(text: str, metric: str) -> float:
    line = next((line for line in text.splitlines() if line.startswith(f"{metric} ")), f"{metric} 0")
    return float(line.rpartition(" ")[2])


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of several runs, and every error that there was."""
    numbers = ("per_s", "p50_ms", "p95_ms", "p99_ms")
    medians: dict[str, Any] = {name: round(statistics.median(run[name] for run in found), 3) for name in numbers}
    stages = [name for name in found[0] if name.endswith("_us")]
    medians |= {name: round(statistics.median(run[name] for run in found)) for name in stages}
    medians["all_per_s"] = [run["per_s"] for run in found]
    medians["errors"] = sum(sum(run["not_200"].values()) + run["socket_errors"] + run["timeouts"] for run in found)
    return medians


def raw(bundle: str, texts: list[str], seconds: float, batch: int = RAW_BATCH) -> float:
    """Texts a second of one process per core that answers batches of random texts, without server or HTTP."""
    context = multiprocessing.get_context("spawn")
    rates: Any = context.Queue()
    processes = [
        context.Process(target=_answer, args=(bundle, texts, seconds, batch, seed, rates))
        for seed in range(len(os.sched_getaffinity(0)))
    ]
    for process in processes:
        process.start()
    total = sum(rates.get() for _ in processes)
    for process in processes:
        process.join()
    return float(total)


def _answer(bundle: str, texts: list[str], seconds: float, batch: int, seed: int, rates: Any) -> None:
    import random

    from purport import Classifier

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread, as in a worker of the server
    classifier, rng = Classifier.open(bundle, threads=1), random.Random(seed)
    for _ in range(3):
        classifier.answer(rng.sample(texts, batch))
    # All begin at the same time, whatever loading took.
    time.sleep(max(0.0, 2.0 - time.process_time()))
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        classifier.answer(rng.sample(texts, batch))
        count += batch
    rates.put(count / seconds)


if __name__ == "__main__":
    main()
