"""Where validation rows are few, training rows help to calibrate: each answered by a model that had not seen it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purport.bundle import Bundle
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

DATA = {"name": "sample", "valid": "valid", "unlabelled": "out_of_scope"}


def trained(out: Path, **decide: Any) -> Bundle:
    bundle = train(parse_recipe({"kind": "linear", "task": "multilabel", "data": DATA, "decide": decide}), out)
    assert bundle is not None
    return bundle


def test_training_rows_help_where_validation_rows_are_few(tmp_path: Path) -> None:
    alone, helped = trained(tmp_path / "alone", cross_fit=0), trained(tmp_path / "helped")
    rows = helped.manifest.provenance.rows
    assert rows["valid"] < 200
    assert alone.manifest.provenance.cross_fitted == 0
    assert helped.manifest.provenance.cross_fitted == rows["train"]
    assert "training rows, each answered by a model trained without it" in (helped.path / "README.md").read_text(
        "utf-8"
    )
    assert "Take every confidence as a rough guess" not in (helped.path / "README.md").read_text("utf-8")
    assert "Take every confidence as a rough guess" in (alone.path / "README.md").read_text("utf-8")
    # The model is the same; only what is fitted to its answers differs.
    files = "linear.npz", "vocabulary.json"
    assert all(alone.manifest.files[name] == helped.manifest.files[name] for name in files)
    assert alone.manifest.calibration != helped.manifest.calibration


def test_rows_are_not_scored_by_a_model_that_saw_them(tmp_path: Path) -> None:
    # A model that has seen its rows is far surer of them: the temperature would be lower than that of validation rows.
    alone, helped = trained(tmp_path / "alone", cross_fit=0), trained(tmp_path / "helped", cross_fit=3)
    temperatures = [bundle.manifest.calibration.temperature for bundle in (alone, helped)]
    assert temperatures[1] == pytest.approx(temperatures[0], rel=0.35)
    before, after = (bundle.manifest.scope for bundle in (alone, helped))
    assert before is not None and after is not None
    assert (np.subtract(after.centers, before.centers) < before.scales).all()
