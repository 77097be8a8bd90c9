"""What `purport train DATASET` without an option makes of each dataset: form and size of its export, and scores.

    for name in sample atis snips clinc150; do purport train $name --out bundles/$name; done
    python benchmarks/trained.py bundles/* --output results/trained.json

Reads the manifests and evaluations that training wrote, and writes the same as a table beside the JSON (`.md`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from purport import Bundle
from purport.evaluation.report import machine
from purport.labels import Task

_HEAD = (
    "dataset", "train rows", "labels", "form", "MB", "decides as trained", "near ties", "split", "exactly right",
    "F1 micro", "calibration error",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path, help="directories of bundles")
    parser.add_argument("--note", default="", help="what else has to be said of them")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    found = sorted((facts(Bundle.open(path)) for path in arguments.bundles), key=lambda each: each["dataset"])
    arguments.output.write_text(
        json.dumps({"machine": machine(), "note": arguments.note, "bundles": found}, indent=1) + "\n", "utf-8"
    )
    arguments.output.with_suffix(".md").write_text(table(found, arguments.note), "utf-8")


def facts(bundle: Bundle) -> dict[str, Any]:
    """What is known of one bundle."""
    manifest, checks = bundle.manifest, bundle.manifest.checks
    evaluation = json.loads((bundle.path / "evaluation.json").read_text("utf-8"))
    split = "test" if "test" in evaluation else "valid"
    metrics = {name: each["value"] for name, each in evaluation[split]["metrics"].items()}
    multiclass = manifest.task is Task.MULTICLASS
    error = "top_label_calibration_error" if multiclass else "expected_calibration_error"
    return {
        "dataset": manifest.provenance.dataset,
        "bundle": manifest.id,
        "kind": manifest.kind,
        "task": str(manifest.task),
        "seed": manifest.recipe["seed"],
        "rows": manifest.provenance.rows,
        "labels": len(manifest.labels),
        "form": manifest.model.model_dump().get("quantize", "none"),
        "because": manifest.model.model_dump().get("because"),
        "megabytes": round(bundle.size / 1e6, 1),
        "agreement_with_torch": checks.get("agreement_with_torch"),
        "near_ties": int(checks.get("near_ties", 0)),
        "split": split,
        "f1_micro": metrics["f1_micro"],
        "exactly_right": metrics["accuracy" if multiclass else "subset_accuracy"],
        error: metrics[error],
    }


def table(found: list[dict[str, Any]], note: str) -> str:
    """The same as Markdown."""
    lines = ["# What training makes of each dataset", ""]
    lines += ["Written by `python benchmarks/trained.py`: bundles of `purport train DATASET` without an option.", ""]
    lines += [note, ""] if note else []
    lines += [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|"]
    for each in found:
        error = each.get("top_label_calibration_error", each.get("expected_calibration_error"))
        agreement = "" if each["agreement_with_torch"] is None else f"{each['agreement_with_torch']:.2%}"
        cells = (
            each["dataset"], f"{each['rows']['train']:,}", each["labels"], each["form"], each["megabytes"], agreement,
            each["near_ties"], each["split"], f"{each['exactly_right']:.4f}", f"{each['f1_micro']:.4f}", f"{error:.4f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
