"""docs/explanation/capacity.md from what was measured and the manifests, through capacity.md.j2.

python scripts/capacity.py
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import manifests
import numpy as np
from jinja2 import Environment, StrictUndefined
from manifest_objects import pod_spec, quantity

from purport.serving import counters

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RATES = (10, 1_000, 100_000)
ZONES = 3
STATUSES = (200, 400, 503)
# What kube-proxy sets on a node of four cores (conntrack maxPerCore and min), and how long Linux remembers a closed
# connection (nf_conntrack_tcp_timeout_time_wait).
TRACKED, TIME_WAIT_S = 131_072, 120


def main() -> None:
    page = ROOT / "docs" / "explanation" / "capacity.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text(), "utf-8")


def text() -> str:
    """The page."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["n"] = lambda number: f"{number:,.0f}"
    environment.filters["share"] = lambda number: f"{100 * number:.{0 if number >= 0.05 else 1}f} %"
    environment.filters["lost"] = lambda row: f"{100 * row['lost']:.3f} %" if row["lost"] else "none"
    template = environment.from_string((HERE / "capacity.md.j2").read_text("utf-8"))
    return template.render(**facts()).rstrip() + "\n"


def facts() -> dict[str, Any]:
    """Everything that the page says in numbers."""
    load, overload, simulated = (read(name) for name in ("serving/load", "serving/overload", "autoscaler"))
    runs, pod = load["runs"], simulated["pod"]
    full, busy = runs["closed_64"], runs["poisson_80%"]
    chosen = simulated["chosen"]
    planned = load_at(pod["cpu"], chosen["cpu"] / 100)
    objects = manifests.render(manifests.FOLDER / "overlays" / "cpu")
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    limits = pod_spec(deployment)["containers"][0]["resources"]["limits"]
    size = {"cores": quantity(limits["cpu"]), "mib": quantity(limits["memory"]) / 2**20}
    most = busy["per_s"] / full["per_s"]
    return {
        "load": load, "overload": overload, "simulated": simulated, "chosen": chosen, "full": full, "busy": busy,
        "half": runs["poisson_50%"], "planned": planned, "most": most, "zones": ZONES, "size": size,
        "plans": [plan(rate, full["per_s"], planned, most, simulated["min_replicas"], size) for rate in RATES],
        "front_per_s": 1e6 / full["cpu_front_us"],
        "front_cores": 1 + full["cpu_workers_us"] / full["cpu_front_us"],
        "connections_per_s": TRACKED / TIME_WAIT_S, "tracked": TRACKED, "time_wait_s": TIME_WAIT_S,
        "series": series(), "statuses": len(STATUSES), "rows": rows(simulated),
        "start_s": simulated["scenarios"]["room"]["placed_s"] + pod["ready_s"],
    }  # fmt: skip


def read(name: str) -> dict[str, Any]:
    """A result."""
    found: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text("utf-8"))
    return found


def load_at(cpu: list[tuple[float, float]], busy: float) -> float:
    """The share of what a pod can answer at which its cores are so busy."""
    shares, use = zip(*cpu, strict=True)
    return float(np.interp(busy, use, shares))


def plan(rate: int, per_s: float, planned: float, most: float, least: int, size: dict[str, float]) -> dict[str, Any]:
    """Pods for a rate: as many as the autoscaler would run, as the loss of a zone takes, and as there must be."""
    by_target = math.ceil(rate / (planned * per_s))
    by_zone = math.ceil(math.ceil(rate / (most * per_s)) * ZONES / (ZONES - 1))
    pods = max(by_target, by_zone, least)
    left = pods - math.ceil(pods / ZONES)
    return {
        "rate": rate, "by_target": by_target, "by_zone": by_zone, "pods": pods, "cores": pods * size["cores"],
        "gib": pods * size["mib"] / 1024, "share": rate / pods / per_s, "without_one": rate / (pods - 1) / per_s,
        "without_zone": rate / left / per_s,
    }  # fmt: skip


def series() -> int:
    """Time series of one pod whose every path was asked and gave each of ``STATUSES``."""
    paths, _ = manifests.server_facts()
    for path in (*paths, "/intent", "/v1/classify", "other"):
        counters.timed(path)
        for status in STATUSES:
            counters.counted(path, status)
    return sum(len(family.samples) for family in counters.REGISTRY.collect())


def rows(simulated: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates of the page's table: those that differ from the chosen one in their targets only."""
    chosen = simulated["chosen"]
    queues = (None, chosen["queue"])
    return [row for row in simulated["candidates"] if row["down"] == chosen["down"] and row["queue"] in queues]


if __name__ == "__main__":
    main()
