"""Tables of committed results."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from .tables import table

_ROOT = Path(__file__).parents[2]
_RESULTS = _ROOT / "results" / "serving"
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


def doctor_precision() -> str:
    """How often the doctor's proposed relabellings are right."""
    found = json.loads((_ROOT / "results" / "doctor" / "precision.json").read_text("utf-8"))
    rows = [
        (
            each["dataset"],
            f"{each['rows']:,}",
            f"{each['planted']:,}",
            f"{each['yes']:,}",
            *("–" if each[name] is None else f"{each[name]:.3f}" for name in ("precision", "precision_on_planted")),
            f"{each['recall']:.3f}",
            f"{each['recall_of_suspicions']:.3f}",
        )
        for each in found["sets"]
    ]
    head = f"Seeds {' and '.join(map(str, found['seeds']))}, three rates and two ways each; {found['machine']}."
    columns = ["dataset", "rows", "planted", "proposed", "precision", "on planted rows", "recall", "suspected"]
    return f"{head}\n\n" + table(columns, rows)


def environments() -> str:
    """What each extra holds and weighs."""
    found = json.loads((_ROOT / "results" / "environments.json").read_text("utf-8"))
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {**project["optional-dependencies"], "inference": project["dependencies"]}
    rows = []
    for name, each in found["environments"].items():
        holds = ", ".join(re.split(r"[\[>=]", requirement)[0] for requirement in wanted[name])
        rows.append((name, holds, each["packages"], f"{each['megabytes']:,} MB", f"{each['seconds']} s"))
    head = f"`{found['command']}`: each alone, from the wheel, with a CPU build of torch; {found['machine']}."
    columns = ["extra", "asks for, beside what inference has", "packages", "size", "installed in"]
    return f"{head}\n\n{table(columns, rows)}"


def containers() -> str:
    """Size and start of the images, and what a small container withstands."""
    found = json.loads((_ROOT / "results" / "docker.json").read_text("utf-8"))
    small = _read("container")
    rows = [
        ("inference image", f"{found['inference_mb']} MB"),
        ("training image, CPU", f"{found['training_mb'] / 1000:.1f} GB"),
        ("from `docker run` to the first answer, median (longest) of " + str(len(found["first_answer_s"])),
         f"{found['first_answer_median_s']} s ({found['first_answer_s'][-1]} s)"),
        ("`RUN_DOCKER_TRAINING.sh multilabel`, after the image is built", f"{found['training_s']:.0f} s"),
    ]  # fmt: skip
    limits = small["container"]
    overloaded = [
        ("capacity per second", small["capacity_per_s"]),
        ("requests offered per second", small["offered_per_s"]),
        ("answered with 200 per second", small["accepted_per_s"]),
        ("99.9 % of all answers take less than", f"{small['all_p99_9_ms']} ms"),
        ("answered per second afterwards", small["then_per_s"]),
        (
            "highest memory",
            f"{limits['peak_mib']} MiB, killed for memory: {'yes' if limits['killed_for_memory'] else 'no'}",
        ),
        (
            "the process of a worker killed under load is replaced after",
            f"{small['killed_worker']['process_back_s']} s",
        ),
    ]
    head = ["measured", "value"]
    factor = small["offered_per_s"] / small["capacity_per_s"]
    return (
        f"`{found['command']}`; {found['machine']}.\n\n{table(head, rows)}\n\n"
        f"{factor:.1f} times the load that a container with `{limits['limits']}` can answer:\n\n"
        f"{table(head, overloaded)}\n\n"
        f"`{small['command']}`; {small['machine']}."
    )


def transcript(name: str) -> str:
    """What a script said."""
    return f"```text\n{(_ROOT / 'docs' / 'transcripts' / f'{name}.txt').read_text('utf-8')}```"
