"""Tables of committed results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .tables import table

_RESULTS = Path(__file__).parents[2] / "results" / "serving"
_LOADS = {
    "closed_1": "1 client without a pause",
    "closed_16": "16 clients",
    "closed_64": "64 clients",
    "closed_256": "256 clients",
}


def _read(name: str) -> Any:
    return json.loads((_RESULTS / f"{name}.json").read_text("utf-8"))


def load() -> str:
    """Answers a second and latency of the shipped bundle."""
    found = _read("load")
    rows = [(said, run["per_s"], run["p50_ms"], run["p99_ms"])
            for key, said in _LOADS.items() for run in [found["runs"][key]]]  # fmt: skip
    head = f"`{found['command']}`, bundle `{found['bundle']}`, median of {found['rounds']} rounds; {found['machine']}."
    return f"{head}\n\n" + table(["load", "answers/s", "p50 ms", "p99 ms"], rows)


def peers() -> str:
    """How many times as many answers Purport gives beside other servers."""
    found = _read("peers")
    rows = [(f"{name} {peer['version']}", *(f"{peer['ratio'][clients]} ×" for clients in ("1", "16", "64")))
            for name, peer in found["peers"].items() if "ratio" in peer]  # fmt: skip
    head = f"`{found['command']}`, median of {found['rounds']} rounds; {found['machine']}."
    return f"{head}\n\n" + table(["compared with", "1 client", "16 clients", "64 clients"], rows)


def overload() -> str:
    """What is answered under several times the load that can be answered."""
    found = _read("overload")
    rows = [
        ("requests offered per second", found["offered_per_s"]),
        ("capacity per second", found["capacity_per_s"]),
        ("answered with 200 per second", found["accepted_per_s"]),
        ("median of all answers, rejections included", f"{found['all_p50_ms']} ms"),
        ("99.9 % of all answers take less than", f"{found['all_p99_9_ms']} ms"),
    ]
    return f"`{found['command']}`; {found['machine']}.\n\n" + table(["measured", "value"], rows)
