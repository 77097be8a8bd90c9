"""Train every reported recipe with three seeds and write results/atis.json and results/README.md.

    make results            train what is missing in runs/results, then write the report
    make results FRESH=1    train everything again

Training is timed from outside, the whole process. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from purport import Bundle

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "results"
SEEDS = (0, 1, 2)
RECIPES = {
    "atis": ("f1_micro", "f1_macro", "subset_accuracy", "hamming_loss", "expected_calibration_error"),
    "atis-multiclass": ("accuracy", "balanced_accuracy", "f1_macro", "matthews_correlation", "log_loss"),
    "atis-linear": ("f1_micro", "f1_macro", "subset_accuracy", "hamming_loss", "expected_calibration_error"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="train everything again")
    arguments = parser.parse_args()
    if arguments.fresh:
        shutil.rmtree(RUNS, ignore_errors=True)
    runs = {name: [run(name, seed) for seed in (SEEDS if name != "atis-linear" else SEEDS[:1])] for name in RECIPES}
    shipped = Bundle.open("atis").manifest.id
    if shipped != runs["atis"][0]["bundle"]:
        sys.exit(f"the shipped bundle {shipped} is not that of recipes/atis.toml, {runs['atis'][0]['bundle']}")
    report = {"machine": machine(), "versions": runs["atis"][0]["versions"], "runs": runs}
    (ROOT / "results" / "atis.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    (ROOT / "results" / "README.md").write_text(markdown(report), "utf-8")


def run(name: str, seed: int) -> dict[str, Any]:
    """Train unless it is there already; what was measured."""
    out, clock = RUNS / f"{name}-{seed}", RUNS / f"{name}-{seed}.seconds"
    if not clock.exists():
        command = [sys.executable, "-m", "purport", "train", f"recipes/{name}.toml", "--out", out, "--overwrite"]
        started = time.perf_counter()
        subprocess.run([*map(str, command), "--set", f"seed={seed}"], check=True, cwd=ROOT)
        clock.write_text(f"{time.perf_counter() - started:.1f}", "utf-8")
    bundle = Bundle.open(out)
    evaluation = json.loads((out / "evaluation.json").read_text("utf-8"))
    return {
        "seed": seed,
        "bundle": bundle.manifest.id,
        "bytes": bundle.size,
        "seconds": float(clock.read_text("utf-8")),
        "gates": bundle.manifest.gates,
        "versions": bundle.manifest.versions,
        **{
            split: {"n": found["n"], "unseen_labels": found["unseen_labels"], "metrics": found["metrics"]}
            for split, found in evaluation.items()
        },
    }


def machine() -> str:
    """Processor, cores and system in one line."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    flags = next((line for line in lines if line.startswith("flags")), "")
    extra = [flag for flag in ("avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    return f"{model}, {os.cpu_count()} cores, {', '.join(extra) or 'no VNNI'}, {platform.system()}"


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# Results",
        "",
        "Written by `make results` (`scripts/results.py`); do not edit. Recipes are in `recipes/`, every number is",
        "of the bundle as it is deployed. Everything was chosen on a validation split carved from train; the 850 test",
        "rows were measured once per run, none dropped. Two of them carry `day_name`, which is never in train.",
        "",
        f"Machine: {report['machine']}. Versions: {', '.join(f'{k} {v}' for k, v in report['versions'].items())}.",
    ]
    for name, metrics in RECIPES.items():
        runs = report["runs"][name]
        first = runs[0]
        lines += ["", f"## {name} (`purport train recipes/{name}.toml`)", ""]
        head, rule = "| ATIS test metric | seed 0 | 95 % interval |", "|---|---|---|"
        if len(runs) > 1:
            others = " | ".join(f"seed {each['seed']}" for each in runs[1:])
            head, rule = f"{head} {others} | mean | spread |", rule + "---|" * (len(runs) + 1)
        lines += [head, rule]
        for metric in metrics:
            found = [each["test"]["metrics"][metric] for each in runs]
            values = [each["value"] for each in found]
            row = f"| {metric} | {values[0]:.4f} | {found[0]['low']:.4f} to {found[0]['high']:.4f} |"
            if len(runs) > 1:
                rest = " | ".join(f"{value:.4f}" for value in values[1:])
                row += f" {rest} | {statistics.mean(values):.4f} | {statistics.stdev(values):.4f} |"
            lines.append(row)
        seconds = ", ".join(f"{each['seconds']:.0f} s" for each in runs)
        size = f"{first['bytes'] / 1e6:.1f} MB"
        lines += ["", f"Wall time of training: {seconds}. The bundle has {size} (seed 0: `{first['bundle']}`)."]
        if "agreement_with_torch" in first["gates"]:
            gates = ", ".join(f"{each['gates']['agreement_with_torch']:.4f}" for each in runs)
            change = max(each["gates"]["batch_change"] for each in runs)
            lines.append(f"Same decisions as torch on validation: {gates}.")
            lines.append(f"Largest change of a probability between alone and in a batch: {change:.1e}.")
    lines += [
        "",
        "Spread is the sample standard deviation over the seeds; intervals are bootstrap percentiles over rows.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
