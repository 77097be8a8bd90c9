"""Train every reported recipe with three seeds and write results/README.md, atis.json and atis/.

    make results            train what is missing in runs/results, then write the report
    make results FRESH=1    train everything again
    scripts/results.py --keep  take what is not in runs/results from the last report, and train nothing

Training is timed from outside, the whole process. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from experiment import experiment
from jinja2 import Environment, StrictUndefined

from purport import Bundle, __version__
from purport.data.reading import Reading
from purport.data.table import RowTable
from purport.doctor.diagnose import diagnose
from purport.evaluation.report import machine

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "results"
SEEDS = (0, 1, 2)
METRICS = ("f1_micro", "f1_macro", "subset_accuracy", "hamming_loss", "expected_calibration_error")
TEACHER = "atis-teacher"
SEVERAL = (TEACHER, "atis-multiclass")
# What is trained from recipes/NAME.toml, and what is shown of it.
RECIPES = {
    "atis": METRICS,
    TEACHER: METRICS,
    "atis-multiclass": ("accuracy", "balanced_accuracy", "f1_macro", "matthews_correlation", "log_loss"),
    "atis-linear": METRICS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fresh", action="store_true", help="train everything again")
    parser.add_argument("--keep", action="store_true", help="take what is not in runs/results from the last report")
    arguments = parser.parse_args()
    if arguments.fresh:
        shutil.rmtree(RUNS, ignore_errors=True)
    last = json.loads((ROOT / "results" / "atis.json").read_text("utf-8"))["runs"] if arguments.keep else {}
    runs = {
        name: [
            last[name][seed] if arguments.keep and not place(name, seed).is_dir() else run(name, seed)
            for seed in (SEEDS if name in SEVERAL else SEEDS[:1])
        ]
        for name in (TEACHER, *RECIPES)  # the teacher first
    }
    shipped = Bundle.open("atis").manifest.id
    if shipped != runs["atis"][0]["bundle"]:
        sys.exit(f"the shipped bundle {shipped} is not that of recipes/atis.toml, {runs['atis'][0]['bundle']}")
    experiments = ROOT / "results" / "atis" / "multiclass-vs-multilabel.json"
    explored = json.loads(experiments.read_text("utf-8")) if arguments.keep else atis()
    report = {"machine": machine(), "versions": runs["atis"][0]["versions"], "runs": runs}
    (ROOT / "results" / "atis.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    (ROOT / "results" / "README.md").write_text(markdown(report, explored), "utf-8")


def place(name: str, seed: int) -> Path:
    """Where that bundle lies; the first teacher where recipes/atis.toml looks for it."""
    return ROOT / "bundles" / name if (name, seed) == (TEACHER, 0) else RUNS / f"{name}-{seed}"


def train(recipe: str, out: Path, *overrides: str) -> float:
    """Train ``out`` unless it is there already; the seconds that took."""
    clock = out.with_name(out.name + ".seconds")
    if not clock.exists():
        command = [sys.executable, "-m", "purport", "train", f"recipes/{recipe}.toml", "--out", str(out), "--overwrite"]
        started = time.perf_counter()
        subprocess.run([*command, *(part for each in overrides for part in ("--set", each))], check=True, cwd=ROOT)
        clock.write_text(f"{time.perf_counter() - started:.1f}", "utf-8")
    return float(clock.read_text("utf-8"))


def run(name: str, seed: int) -> dict[str, Any]:
    """Train unless it is there already; what was measured."""
    out = place(name, seed)
    seconds = train(name, out, f"seed={seed}")
    bundle = Bundle.open(out)
    evaluation = json.loads((out / "evaluation.json").read_text("utf-8"))
    return {
        "seed": seed,
        "bundle": bundle.manifest.id,
        "bytes": bundle.size,
        "seconds": seconds,
        "checks": bundle.manifest.checks,
        "versions": bundle.manifest.versions,
        **{
            split: {"n": found["n"], "unseen_labels": found["unseen_labels"], "metrics": found["metrics"]}
            for split, found in evaluation.items()
        },
    }


def atis() -> dict[str, Any]:
    """results/atis/: exploration, diagnosis, experiment, and what they mean; no utterance among them."""
    target = ROOT / "results" / "atis"
    target.mkdir(parents=True, exist_ok=True)
    call = [sys.executable, "-m", "purport", "explore", "atis", "--no-texts", "-o", str(target / "explore")]
    subprocess.run(call, check=True, cwd=ROOT)
    diagnosis = diagnose(RowTable.load("atis", Reading(unlabelled="out_of_scope"))).without_texts()
    # Of the rows, row numbers only: 200 of each finding would be most of the file.
    slim = diagnosis.model_dump(mode="json", exclude={"findings": {"__all__": {"fixes", "rows"}}})
    (target / "doctor.json").write_text(json.dumps(slim, indent=1) + "\n", "utf-8")
    # Composed texts are a tenth more steps, which multiclass cannot have: the same budget is without them.
    plain = [RUNS / f"atis-uncomposed-{seed}" for seed in SEEDS]
    for seed, out in zip(SEEDS, plain, strict=True):
        train(TEACHER, out, "fit.compose=0", f"seed={seed}")
    multiclass, multilabel = ([place(name, seed) for seed in SEEDS] for name in ("atis-multiclass", TEACHER))
    found = experiment(multiclass, plain)
    found["shipped_recipe"] = experiment(multiclass, multilabel)
    (target / "multiclass-vs-multilabel.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    explore = json.loads((target / "explore" / "facts.json").read_text("utf-8"))
    (target / "README.md").write_text(interpretation(explore, slim, found), "utf-8")
    return found


def interpretation(explore: dict[str, Any], doctor: dict[str, Any], exp: dict[str, Any]) -> str:
    """The written interpretation: its words are a template, its numbers these facts."""
    train, test = (next(split for split in explore["splits"] if split["name"] == name) for name in ("train", "test"))
    labels = train["labels"]
    top = next(iter(labels))
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = environment.from_string((ROOT / "scripts" / "atis_interpretation.md.j2").read_text("utf-8"))
    alone = next(entry["count"] for entry in test["combinations"] if entry["item"] == top)
    return template.render(
        version=__version__,
        explore=explore,
        train=train,
        test=test,
        doctor=doctor,
        exp=exp,
        exact=exp["mean_over_seeds"]["exact_match"]["difference"],
        shipped=exp["shipped_recipe"]["mean_over_seeds"],
        f1macro=exp["mean_over_seeds"]["f1_macro"]["difference"],
        drift=explore["drift"][0],
        singles=sum(entry["count"] == 1 for entry in train["combinations"]),
        top=top,
        rarest=list(labels)[-1],
        rare=[f"`{name}` {facts['rows']}" for name, facts in labels.items() if facts["rows"] < 10],
        unmeasured=[f"`{name}`" for name in labels if name not in test["labels"]],
        majority=alone / test["rows"],
        leak=next(finding for finding in doctor["findings"] if finding["title"].startswith("Leak")),
        pct=lambda value, digits=1: f"{value:.{digits}%}".replace("%", " %"),
        num=lambda value, digits: f"{value:,.{digits}f}",
        each=lambda values: ", ".join(f"{value:.2f}" for value in values),
    )


def markdown(report: dict[str, Any], explored: dict[str, Any]) -> str:
    lines = [
        "# Results",
        "",
        "Written by `make results` (`scripts/results.py`); do not edit. Recipes are in `recipes/`, every number is",
        "of the bundle as it is deployed. Everything was chosen on a validation split carved from train; the 850 test",
        "rows were measured once per run, none dropped. Two of them carry `day_name`, which is never in train.",
        "The bundle that ships is `atis`: three of the six layers of `atis-teacher`, taught to decide as all six do.",
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
        if "agreement_with_torch" in first["checks"]:
            agreements = ", ".join(f"{each['checks']['agreement_with_torch']:.4f}" for each in runs)
            change = max(each["checks"]["batch_change"] for each in runs)
            lines.append(f"Same decisions as torch on validation: {agreements}.")
            lines.append(f"Largest change of a probability between alone and in a batch: {change:.1e}.")
    exact = explored["mean_over_seeds"]["exact_match"]
    shipped = explored["shipped_recipe"]["mean_over_seeds"]["exact_match"]
    lines += [
        "",
        "## Multiclass against multilabel, and what ATIS is",
        "",
        f"Exact match of label sets on the same {explored['rows']} rows, mean of {explored['seeds']} seeds: multiclass "
        f"{exact['a']:.4f}, multilabel {exact['b']:.4f}, difference {exact['difference']['value']:+.4f} (95 % paired: "
        f"{exact['difference']['low']:+.4f} to {exact['difference']['high']:+.4f}). With the composed texts of "
        f"recipes/atis-teacher.toml multilabel has {shipped['b']:.4f}, {shipped['difference']['value']:+.4f} "
        f"({shipped['difference']['low']:+.4f} to {shipped['difference']['high']:+.4f}). The argument is in "
        "[atis/README.md](atis/README.md), the exploration in [atis/explore](atis/explore/index.html).",
    ]
    lines += large()
    lines += [
        "",
        "Spread is the sample standard deviation over the seeds; intervals are bootstrap percentiles over rows.",
        "",
    ]
    return "\n".join(lines)


def large() -> list[str]:
    """The table of `make bench-large`, where it has been run."""
    path = ROOT / "results" / "large.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text("utf-8"))
    rows = ", ".join(f"{count:,} {split}" for split, count in found["rows"].items())
    return [
        "",
        "## A synthetic dataset of 200,000 rows (`make bench-large`)",
        "",
        f"{rows} rows, {found['intents']} intents, seed 0; {found['machine']}. Whole processes.",
        "",
        "| command | wall time | peak memory |",
        "|---|---|---|",
        *(f"| `{each['command']}` | {each['seconds']:.0f} s | {each['megabytes']:,.0f} MB |"
          for each in found["commands"].values()),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
