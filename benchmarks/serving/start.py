"""Seconds from starting the server until ``/ready`` answers 200, as often as asked.

python benchmarks/serving/start.py --output results/serving/start.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from harness import machine, purport, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="atis")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    seconds = [once(arguments.bundle) for _ in range(arguments.rounds)]
    report = {"command": "python benchmarks/serving/start.py", "machine": machine(), "bundle": arguments.bundle}
    times = {"ready_s": round(statistics.median(seconds), 2), "all_s": [round(each, 2) for each in seconds]}
    write(arguments.output, {**report, **times})


def once(bundle: str) -> float:
    """One start; the harness asks ten times a second."""
    began = time.perf_counter()
    with purport(bundle):
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
