"""The four commands on a synthetic dataset of 200,000 rows: wall time and peak memory of each process.

    make bench-large

Texts are made of words whose frequencies follow Zipf's law, with words of their own for each of 77 intents;
a tenth has two intents, 5 % of the training labels are wrong, one in a hundred rows repeats another, and a
thousand test texts stand in train.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

from purport.evaluation.report import machine

ROWS = {"train": 160_000, "valid": 20_000, "test": 20_000}
INTENTS = 77
WORDS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write(root / "large", seed=0)
        recipe = 'kind = "linear"\ntask = "multilabel"\n[data]\nname = "large"\ntrain = "valid"\ntest = "test"\n'
        (root / "linear.toml").write_text(recipe + "[model]\nwords = [1, 1]\ncharacters = [0, 0]\n", "utf-8")
        commands = {
            "explore": ["explore", "large"],
            "doctor": ["doctor", "large", "--fix-plan", "plan.csv", "--fail-on", "never"],
            "doctor apply": ["doctor", "apply", "plan.csv", "large", "-o", "corrected"],
            "train (linear, on the 20,000 rows of valid)": ["train", "linear.toml", "--out", "bundle"],
            "evaluate --report": ["evaluate", "bundle", "test", "--report", "report"],
            "compare": ["compare", "bundle", "bundle"],
        }
        measured = {name: run(command, root) for name, command in commands.items()}
    report = {"machine": machine(), "rows": ROWS, "intents": INTENTS, "commands": measured}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    for name, found in measured.items():
        print(f"{name:24s}{found['seconds']:8.1f} s {found['megabytes']:8.0f} MB")


def write(directory: Path, *, seed: int) -> None:
    """The dataset as three TSV files."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 7))) for _ in range(WORDS)]
    weights = list(accumulate(1 / rank for rank in range(1, WORDS + 1)))
    topics = [rng.sample(range(50, WORDS), 60) for _ in range(INTENTS)]
    directory.mkdir()
    train: list[str] = []
    for split, count in ROWS.items():
        lines: list[str] = []
        for row in range(count):
            if lines and rng.random() < 0.01:
                lines.append(rng.choice(lines))
                continue
            if split == "test" and row < 1000:
                lines.append(rng.choice(train))
                continue
            intents = rng.sample(range(INTENTS), 2 if rng.random() < 0.1 else 1)
            words = rng.choices(range(WORDS), cum_weights=weights, k=rng.randint(3, 10))
            for intent in intents:
                words += rng.sample(topics[intent], 3)
            rng.shuffle(words)
            if split == "train" and rng.random() < 0.05:
                intents = [rng.randrange(INTENTS)]
            labels = "+".join(f"intent_{intent}" for intent in sorted(intents))
            lines.append(f"{' '.join(vocabulary[word] for word in words)}\t{labels}")
        train = train or lines
        (directory / f"{split}.tsv").write_text("\n".join(lines) + "\n", "utf-8")


def run(command: list[str], directory: Path) -> dict[str, Any]:
    """Wall time and peak memory of one command, measured from outside."""
    started = time.perf_counter()
    inner = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", inner, sys.executable, "-m", "purport", *command],
        cwd=directory,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"purport {' '.join(command)} failed:\n{done.stderr}")
    kilobytes = int(done.stderr.split()[-1])
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there
    return {
        "command": f"purport {' '.join(command)}",
        "seconds": round(seconds, 1),
        "megabytes": kilobytes * unit / 1e6,
    }


if __name__ == "__main__":
    main()
