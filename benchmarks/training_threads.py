"""How long training takes with one thread, with threads that spin and with threads that sleep: idle and beside others.

    python benchmarks/training_threads.py --output results/training_threads.json

Each run trains the sample's encoder for ten steps in a process of its own, and times these steps alone. The busy
machine runs one endless loop per CPU. Variants take turns, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from purport.resources import cpus

ROOT = Path(__file__).parents[1]
# What libgomp spins without a policy: OMP_WAIT_POLICY must be set, or purport sets it, and the count goes before it.
SPINNING = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "300000"}
VARIANTS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "a thread per CPU, spinning (torch's default)": SPINNING,
    "a thread per CPU, sleeping (purport's default)": {},
}
_STEPS = 10
_TRAIN = """
import sys, tempfile, time
from purport import load_recipe
from purport.progress import Progress
from purport.training.pipeline import train

class Clock:
    first = 0.0
    def emit(self, event):
        if isinstance(event, Progress) and event.what == "training" and event.done:
            self.first = self.first or time.perf_counter()
            if event.done > int(sys.argv[2]):
                print(time.perf_counter() - self.first)
                raise KeyboardInterrupt

with tempfile.TemporaryDirectory() as directory:
    try:
        train(load_recipe(sys.argv[1]), directory + "/bundle", reporter=Clock())
    except KeyboardInterrupt:
        pass
"""


def seconds(variant: dict[str, str]) -> float:
    """Seconds that the steps take."""
    own = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in own} | variant
    command = [sys.executable, "-c", _TRAIN, str(ROOT / "recipes" / "sample.toml"), str(_STEPS)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each round, by load and variant."""
    found: dict[str, dict[str, list[float]]] = {"idle": defaultdict(list), "busy": defaultdict(list)}
    for number in range(rounds):
        for load in found:
            loops = [
                subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cpus() * (load == "busy"))
            ]
            try:
                for name, variant in VARIANTS.items():
                    found[load][name].append(round(seconds(variant), 2))
                    print(f"round {number + 1}, {load}, {name}: {found[load][name][-1]} s", file=sys.stderr, flush=True)
            finally:
                for loop in loops:
                    loop.kill()
    return found


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    found = measure(options.rounds)
    result = {
        "machine": {"cpus": cpus(), "processor": platform.processor() or platform.machine(), "rounds": options.rounds},
        "seconds": {
            load: {
                name: {"median": statistics.median(each), "best": min(each), "all": each} for name, each in rows.items()
            }
            for load, rows in found.items()
        },
    }
    text = json.dumps(result, indent=1) + "\n"
    if options.output:
        options.output.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
