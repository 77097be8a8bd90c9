"""A day of an autoscaled Deployment: which CPU target, and what the queue as a second metric is worth.

    python benchmarks/autoscaler.py

What a pod can do is measured (results/serving: load.json, overload.json, start.json), the autoscaler is the one that
Kubernetes documents (benchmarks/hpa.py), the day is made up: a quiet night, a busy afternoon, and in the evening a
minute in which the load triples. Writes results/autoscaler.json and two figures into docs/images; a test compares the
chosen candidate with deploy/kubernetes/base/autoscaler.yaml.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from autoscaler_figures import figures
from hpa import SYNC_S, UP, Autoscaler, Policy, Reading, Rules

from purport.settings import ServerSettings

ROOT = Path(__file__).resolve().parents[1]
RESULTS, IMAGES = ROOT / "results", ROOT / "docs" / "images"
DAY_S = 24 * 3600
# The made-up day: requests a second at the busiest time of an ordinary day, and the evening's spike.
PEAK_PER_S, NIGHT = 6000, 0.1
# The spike meets the autoscaler's rounds at different moments: what is reported is the worst of these.
PHASES_S = (0, 5, 10)
SPIKE_AT_S, SPIKE_RAMP_S, SPIKE_S, SPIKE_TIMES = 19 * 3600, 60, 600, 3
# A request that waits longer is late, and at most this share of the day's requests may be late or refused.
LATE_S, MOST_LOST = 0.25, 0.001
# The same for a day on which Prometheus or its adapter is down, so that CPU use alone decides.
MOST_LOST_WITHOUT_QUEUE = 0.01
# Not measured here: from a wish for a pod to its process, on a node that has room and the image, and otherwise.
PLACED_S, NEW_NODE_S = 5, 120
# From the first probe that succeeds to the first request.
PUBLISHED_S = 2
# Both metrics are means over a period that ended up to one more period ago.
METRIC_S = 15
# Seconds until a pod's process starts, and how much less busy than measured its cores are at the same load. CPU use
# hardly changes between half and three quarters of what a pod can answer, so a small error of it is much load.
SCENARIOS = {"room": (PLACED_S, 0.0), "reads_less": (PLACED_S, 0.03), "new_node": (NEW_NODE_S, 0.0)}
MUST_KEEP = ("room", "reads_less")
LEAST, MOST, SEED = 3, 40, 0

CPU_TARGETS = (60, 70, 75, 80, 85, 90)
# Percent of the requests a second that a pod was measured to answer: for comparison, because it has to be measured anew
# for each bundle and kind of machine.
RATE_TARGETS = (40, 50, 60, 70)
QUEUE_TARGETS = (None, 5, 20)
DOWN = {
    "all at once after 5 minutes": Rules(300, (Policy("Percent", 100, 15),)),
    "10 % a minute after 5 minutes": Rules(300, (Policy("Percent", 10, 60),)),
}


@dataclass(frozen=True)
class Pod:
    """What was measured of two cores."""

    per_s: float
    ready_s: float
    cpu: tuple[tuple[float, float], ...]
    """Share of ``per_s`` that is asked for, and share of the cores that are busy."""
    waiting: tuple[tuple[float, float], ...]
    """Share of ``per_s`` that is asked for, and texts that wait on average."""
    overload: tuple[float, float]
    """Times ``per_s`` that were offered, and the share of ``per_s`` that was answered then."""
    queue_limit: int

    @classmethod
    def measured(cls) -> Pod:
        """From results/serving."""
        load, over, start = (
            json.loads((RESULTS / "serving" / f"{name}.json").read_text("utf-8"))
            for name in ("load", "overload", "start")
        )
        runs = load["runs"]
        full = runs["closed_64"]["per_s"]
        cpu, waiting = [(0.0, 0.0)], [(0.0, 0.0)]
        for name in ("closed_1", "poisson_50%", "poisson_80%", "closed_64"):
            run = runs[name]
            cores = load["workers"]
            if name == "closed_64":  # nothing is idle: what the load generator took would have been the server's
                cores -= run["per_s"] * run["cpu_load_generator_us"] / 1e6
            busy = run["per_s"] * (run["cpu_front_us"] + run["cpu_workers_us"]) / 1e6
            cpu.append((round(run["per_s"] / full, 3), round(busy / cores, 3)))
            waiting.append((round(run["per_s"] / full, 3), round(run["per_s"] * run["waiting_us"] / 1e6, 2)))
        limit = int(ServerSettings.model_fields["queue_limit"].default)
        refusing = over["offered_per_s"] / over["capacity_per_s"], over["accepted_over_capacity"]
        return cls(full, start["ready_s"], tuple(cpu), tuple(waiting), refusing, limit)

    def busy(self, share: np.ndarray) -> np.ndarray:
        """How busy its cores are at a share of what it can answer."""
        return np.interp(share, *zip(*self.cpu, strict=True))

    def waits(self, share: float) -> float:
        """Texts that wait at a share of what it can answer."""
        return float(np.interp(share, *zip(*self.waiting, strict=True)))

    def answers(self, share: float) -> float:
        """Answers a second, where ``share`` times what it can answer is offered: refusals take time, too."""
        times, left = self.overload
        return self.per_s * (1 - (1 - left) * min(1.0, max(0.0, share - 1) / (times - 1)))


@dataclass(frozen=True)
class Candidate:
    """One way to set the autoscaler."""

    cpu: int | None
    queue: int | None
    down: str
    rate: int | None = None


def main() -> None:
    pod, load = Pod.measured(), day()
    candidates = [
        *(Candidate(*each) for each in itertools.product(CPU_TARGETS, QUEUE_TARGETS, DOWN)),
        *(Candidate(None, *each) for each in itertools.product(QUEUE_TARGETS[1:], DOWN)),
        *(Candidate(None, *each) for each in itertools.product(QUEUE_TARGETS, [next(iter(DOWN))], RATE_TARGETS)),
    ]
    rows, curves = [], {}
    for candidate in candidates:
        outcomes: dict[str, Any] = {}
        for name, (placed, less) in SCENARIOS.items():
            outcomes[name], curves[candidate, name] = worst(candidate, pod, placed, less)
        rows.append({**asdict(candidate), **outcomes})
        print(json.dumps(rows[-1]))
    chosen = choose(rows)
    report = {
        "command": "python benchmarks/autoscaler.py",
        "pod": asdict(pod),
        "day": {
            "peak_per_s": PEAK_PER_S, "spike_times": SPIKE_TIMES, "spike_ramp_s": SPIKE_RAMP_S, "spike_s": SPIKE_S,
            "requests": round(float(load.sum())), "most_per_s": round(float(load.max())),
        },
        "late_after_s": LATE_S, "most_lost": MOST_LOST, "most_lost_without_queue": MOST_LOST_WITHOUT_QUEUE,
        "scenarios": {name: {"placed_s": placed, "reads_less": less} for name, (placed, less) in SCENARIOS.items()},
        "min_replicas": LEAST, "max_replicas": MOST,
        "chosen": chosen, "candidates": rows,
    }  # fmt: skip
    (RESULTS / "autoscaler.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    best = next(each for each in candidates if asdict(each) == {name: chosen[name] for name in asdict(each)})
    for figure in figures(report, load, curves[best, "room"]):
        svg, _ = figure.render()
        (IMAGES / f"{figure.name}.svg").write_text(svg, "utf-8")


def worst(candidate: Candidate, pod: Pod, placed_s: float, less: float) -> tuple[dict[str, Any], np.ndarray]:
    """The day of ``PHASES_S`` on which most is lost."""
    days = [
        simulate(candidate, pod, np.random.default_rng(SEED).poisson(day(phase)), placed_s, less) for phase in PHASES_S
    ]
    return max(days, key=lambda outcome: float(outcome[0]["lost"]))


def day(phase_s: int = 0) -> np.ndarray:
    """Expected requests a second, (86_400,) float64."""
    seconds = np.arange(DAY_S)
    daily = ((1 - np.cos(2 * np.pi * (seconds / DAY_S - 3 / 24))) / 2) ** 1.5
    since = seconds - SPIKE_AT_S - phase_s
    shape = np.interp(since, (0, SPIKE_RAMP_S, SPIKE_RAMP_S + SPIKE_S, SPIKE_RAMP_S + 2 * SPIKE_S), (0, 1, 1, 0))
    return PEAK_PER_S * (NIGHT + (1 - NIGHT) * daily) * (1 + (SPIKE_TIMES - 1) * shape)


def choose(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The cheapest with both metrics that loses no more than it may, with the queue and while it cannot be read.

    Both, because each covers for the other: a CPU target that is too high for a processor or a bundle is never reached.
    """

    def lost(row: dict[str, Any]) -> float:
        return max(float(row[name]["lost"]) for name in MUST_KEEP)

    without = {(row["cpu"], row["down"]): lost(row) for row in rows if not row["queue"]}
    both = [row for row in rows if row["cpu"] and row["queue"] and lost(row) <= MOST_LOST]
    kept = [row for row in both if without[row["cpu"], row["down"]] <= MOST_LOST_WITHOUT_QUEUE]
    return min(kept, key=lambda row: float(row["room"]["pod_hours"]))


def simulate(
    candidate: Candidate, pod: Pod, arrivals: np.ndarray, placed_s: float, less: float = 0.0
) -> tuple[dict[str, Any], np.ndarray]:
    """What is lost and what it costs, and the ready pods of each second; CPU use reads ``less`` than measured.

    Pods share the load evenly, and each is a queue that holds at most ``pod.queue_limit`` requests.
    """
    scaler = Autoscaler(LEAST, MOST, UP, DOWN[candidate.down], replicas=LEAST)
    starting: deque[int] = deque()  # when each of the pods that are not ready will be
    rng, ready, queue = np.random.default_rng(SEED), LEAST, 0.0
    refused = late = cost = 0.0
    share_of, queue_of, pods_of = np.zeros(len(arrivals)), np.zeros(len(arrivals)), np.zeros(len(arrivals), dtype=int)
    delay = math.ceil(placed_s + pod.ready_s + PUBLISHED_S)
    for now, came in enumerate(arrivals.tolist()):
        while starting and starting[0] <= now:
            starting.popleft()
            ready += 1
        share = came / ready / pod.per_s
        left = max(0.0, queue + came - ready * pod.answers(share))
        queue = min(left, ready * pod.queue_limit)
        refused += left - queue
        if queue > LATE_S * ready * pod.per_s:
            late += came - (left - queue)
        share_of[now], queue_of[now], pods_of[now] = share, queue / ready, ready
        cost += scaler.replicas
        if now % SYNC_S == 0 and now >= 2 * METRIC_S:
            period = slice(now - 2 * METRIC_S, now - METRIC_S)
            seen = int(min(pods_of[period][-1], ready))
            replicas = scaler.sync(now, readings(candidate, pod, seen, share_of[period], queue_of[period], less, rng))
            starting.extend([now + delay] * max(0, replicas - ready - len(starting)))
            while ready + len(starting) > replicas:  # those that are not ready go first
                ready, _ = (ready, starting.pop()) if starting else (ready - 1, None)
    total = float(arrivals.sum())
    numbers = {"refused": refused / total, "late": late / total, "lost": (refused + late) / total}
    return {
        **{name: round(value, 6) for name, value in numbers.items()},
        "pod_hours": round(cost / 3600, 1), "most_pods": int(pods_of.max()),
    }, pods_of  # fmt: skip


def readings(
    candidate: Candidate,
    pod: Pod,
    pods: int,
    share: np.ndarray,
    queue: np.ndarray,
    less: float,
    rng: np.random.Generator,
) -> list[Reading]:
    """What the metrics say of a period: CPU use and rate are means over it, the queue is its last value.

    How many wait at one moment is random: as good as exponential in each pod, so gamma in their mean.
    """
    found = []
    if candidate.cpu:
        busy = np.where(queue > 0, 1.0, pod.busy(share)) - less
        found.append(Reading(100 * float(busy.mean()), pods, candidate.cpu))
    if candidate.queue:
        waiting = queue[-1] + rng.gamma(pods, pod.waits(share[-1]) / pods)
        found.append(Reading(float(waiting), pods, candidate.queue))
    if candidate.rate:
        found.append(Reading(100 * float(share.mean()), pods, candidate.rate))
    return found


if __name__ == "__main__":
    main()
