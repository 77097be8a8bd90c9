"""The four commands on every dataset there is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from purport.data.catalog import catalog


def purport(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "purport", *arguments], capture_output=True, text=True, cwd=cwd, timeout=600
    )


DATASETS = ["sample", *catalog()]


@pytest.mark.parametrize("name", DATASETS)
def test_explore_doctor_evaluate_compare(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if name != "sample":
        request.getfixturevalue("public_data")
    done = purport("explore", name, "-o", "explore", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "explore" / "facts.json").read_text("utf-8"))
    assert facts["splits"] and all(split["rows"] and split["labels"] for split in facts["splits"])
    done = purport("doctor", name, "-o", "doctor", "--fix-plan", "plan.csv", cwd=tmp_path)
    found = json.loads((tmp_path / "doctor" / "facts.json").read_text("utf-8"))
    severities = Counter(finding["severity"] for finding in found["findings"])
    assert done.returncode == (1 if severities["error"] else 0), done.stderr
    applied = purport("doctor", "apply", "plan.csv", name, "-o", "corrected", cwd=tmp_path)
    assert applied.returncode == 0, applied.stderr
    assert {file.stem for file in (tmp_path / "corrected").iterdir()} == set(found["rows"])

    split = next((split for split in ("test", "fold19") if split in found["rows"]), "train")
    first = next(iter(found["rows"]))
    recipe = f'kind = "linear"\ntask = "multilabel"\n[data]\nname = "{name}"\ntrain = "{first}"\n' \
             'unlabelled = "out_of_scope"\n[model]\nwords = [1, 1]\ncharacters = [0, 0]\n'  # fmt: skip
    (tmp_path / "recipe.toml").write_text(recipe, "utf-8")
    done = purport("train", "recipe.toml", "--out", "bundle", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = purport("evaluate", "bundle", split, "--report", "report", "--resamples", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    gate = ("--gate", "flips<=0,typo_1>=0", "--output", "compare")
    done = purport("compare", "bundle", "bundle", "--split", split, *gate, cwd=tmp_path)
    assert done.returncode == 0 and "passed" in done.stdout, done.stderr
    for directory in ("explore", "doctor", "report", "compare"):
        assert (tmp_path / directory / "index.html").stat().st_size > 10_000
