"""The figures of benchmarks/autoscaler.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from purport.report.figures import COLOURS, Figure

# A share of nothing has no place on a logarithmic axis: it is drawn at its foot.
FOOT = 1e-5


def figures(report: dict[str, Any], load: np.ndarray, pods: np.ndarray) -> list[Figure]:
    """The trade of pods against lost requests, and the day of the chosen candidate."""
    return [trade(report), day(report, load, pods)]


def trade(report: dict[str, Any]) -> Figure:
    """Each candidate: what its pods cost, and what is lost where the metric may read less than was measured."""
    chosen = report["chosen"]
    lines: dict[str, list[tuple[float, float, int]]] = {}
    for row in report["candidates"]:
        if row["down"] == chosen["down"] and (name := series_of(row, chosen["queue"])):
            lost = max(row["room"]["lost"], row["reads_less"]["lost"], FOOT)
            lines.setdefault(name, []).append((row["room"]["pod_hours"], lost, row["cpu"] or row["rate"]))

    def draw(axes: Axes) -> None:
        for index, (name, points) in enumerate(lines.items()):
            hours, lost, targets = zip(*sorted(points), strict=True)
            colour = COLOURS[index]
            axes.plot(hours, lost, "o-", color=colour, markersize=3.5, linewidth=1.2, label=name)
            for x, y, target in zip(hours, lost, targets, strict=True):
                beside = (0, (5, -10, 5)[index])
                axes.annotate(
                    f"{target}", (x, y), beside, textcoords="offset points", fontsize=6.5, ha="center", color=colour
                )
        at = chosen["room"]["pod_hours"], max(chosen["room"]["lost"], chosen["reads_less"]["lost"], FOOT)
        axes.plot(*at, "o", markersize=11, fillstyle="none", color=COLOURS[3])
        axes.axhline(report["most_lost"], color=COLOURS[6], linewidth=1, linestyle=":")
        axes.set(yscale="log", ylim=(FOOT / 3, 1), xlabel="pod hours a day", ylabel="share of requests lost")
        axes.set_yticks([FOOT, 1e-4, 1e-3, 1e-2, 1e-1, 1], ["none", "0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
        axes.minorticks_off()
        axes.legend(loc="upper right")

    words = "; ".join(
        f"{name}: " + ", ".join(f"target {target} costs {hours} pod hours" for hours, _, target in points)
        for name, points in lines.items()
    )
    return Figure("autoscaler-trade", "Pods and lost requests by target (%)", words, draw, height=3.6, width=6.4)


def series_of(row: dict[str, Any], queue: int) -> str | None:
    """The line that a candidate is on, if it is drawn."""
    if row["cpu"] and row["queue"] in (None, queue):
        return "target for CPU use and for the queue" if row["queue"] else "target for CPU use alone"
    return "target for requests/s, in % of what a pod can answer" if row["rate"] and not row["queue"] else None


def day(report: dict[str, Any], load: np.ndarray, pods: np.ndarray) -> Figure:
    """The load in pods, and the pods that were ready."""
    hours = np.arange(len(load)) / 3600
    needed = load / report["pod"]["per_s"]
    step = slice(None, None, 15)

    def draw(axes: Axes) -> None:
        axes.step(hours[step], pods[step], where="post", color=COLOURS[0], linewidth=1.3, label="pods that are ready")
        axes.plot(hours[step], needed[step], color=COLOURS[1], linewidth=1.3, label="pods that the load fills")
        axes.set(xlim=(0, 24), ylim=(0, None), xlabel="hour of the day", ylabel="pods")
        axes.set_xticks(range(0, 25, 3))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper left")

    words = f"At most {int(pods.max())} pods are ready; the load fills at most {needed.max():.1f}."
    return Figure("autoscaler-day", "A day of the chosen autoscaler", words, draw, height=3.2, width=6.4)
