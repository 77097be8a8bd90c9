"""Latency of ``POST /intent`` for one client, and memory of the server, beside the model called directly.

    python benchmarks/serving.py --output results/serving.json

Both are measured in turn, in several rounds of one run on the same machine, so that their ratio holds where the
machine's speed drifts. Texts are distinct; they are those of the sample's test split.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from purport import Classifier, load_dataset
from purport.data.dataset import Reading

ROUNDS = 5
SHORT_WORDS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="atis")
    parser.add_argument("--output", type=Path, default=Path("results/serving.json"))
    arguments = parser.parse_args()
    texts = list(load_dataset("sample", Reading(unlabelled="out_of_scope"))["test"].texts)
    short = [text for text in texts if len(text.split()) <= SHORT_WORDS]
    classifier = Classifier.open(arguments.bundle, threads=1)
    server, port = start(arguments.bundle)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def over_http(text: str) -> None:
            connection.request("POST", "/intent", json.dumps({"text": text}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status

        def direct(text: str) -> None:
            classifier.predict([text])

        timings: dict[str, list[float]] = {"short_http": [], "short_direct": [], "http": [], "direct": []}
        calls = {"http": over_http, "direct": direct}
        for call in calls.values():
            timed(call, texts)  # warm up
        for _ in range(ROUNDS):
            for name, call in calls.items():
                timings[name] += timed(call, texts)
                timings[f"short_{name}"] += timed(call, short)
        memory = psutil.Process(server.pid).memory_info().rss
    finally:
        server.terminate()
        server.wait()
    report: dict[str, object] = {
        "command": "python benchmarks/serving.py",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, the client on the same machine",
        "bundle": classifier.bundle.manifest.id,
        "server_memory_mib": round(memory / 2**20, 1),
    }
    for prefix, asked in (("short_", short), ("", texts)):
        http_median, direct_median = (statistics.median(timings[f"{prefix}{name}"]) for name in ("http", "direct"))
        report[f"{prefix}texts"] = {
            "distinct": len(asked),
            "mean_words": round(statistics.mean(len(text.split()) for text in asked), 1),
            "http_median_ms": round(1e3 * http_median, 3),
            "http_p95_ms": round(1e3 * statistics.quantiles(timings[f"{prefix}http"], n=20)[-1], 3),
            "direct_median_ms": round(1e3 * direct_median, 3),
            "http_over_direct": round(http_median / direct_median, 3),
        }
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1))


def start(bundle: str) -> tuple[subprocess.Popen[str], int]:
    """A server on a free port, ready."""
    server = subprocess.Popen(
        [sys.executable, "-m", "purport", "serve", bundle, "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    port = 0
    for line in server.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+) \(", line):
            port = int(found[1])
        if '"state": "ready"' in line:
            break
    # Nobody reads the log any further: its pipe must not fill up.
    subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
    return server, port


def timed(call: Callable[[str], None], texts: list[str]) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for text in texts:
        started = time.perf_counter()
        call(text)
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
