"""What a bundle says of itself is checked against its labels before anything answers by it."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from purport import Bundle, Task
from purport.bundle import MANIFEST, commit, staging
from purport.errors import BundleCorrupt, DataError
from purport.manifest import Likeliest, Manifest, ModelFacts, PerLabel, Provenance, Temperature
from purport.progress import SILENT
from purport.training import steps

MANY = PerLabel(thresholds=(0.5, 0.4))


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "kind": "made",
        "opener": "made",
        "task": Task.MULTILABEL,
        "labels": ("a", "b"),
        "decision": MANY,
        "provenance": Provenance(dataset="none", fingerprint="", rows={}),
    }
    return Manifest(**fields | changes)


class MyFacts(ModelFacts):
    layers: tuple[int, ...]


def test_it_is_read_as_it_was_written_with_the_facts_of_its_kind() -> None:
    written = manifest(model=MyFacts(layers=(0, 2)), calibration=Temperature(temperature=0.5)).sealed()
    read = Manifest.model_validate_json(written.to_bytes())
    assert read == written and read.sealed() == written
    assert read.model.as_type(MyFacts).layers == (0, 2)
    with pytest.raises(ValidationError):
        manifest().model.as_type(MyFacts)


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": Likeliest()},
        {"decision": PerLabel(thresholds=(0.5,))},
        {"task": Task.MULTICLASS},
        {"labels": ("a", "a")},
        {"labels": ("a", "")},
        {"checks": {"agreement": math.nan}},
        {"surprise": 1},
    ],
)
def test_a_decision_that_does_not_fit_the_task_or_the_labels_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        manifest(**changes)


@pytest.mark.parametrize(
    ("labels", "why"),
    [([str(each) for each in range(20_001)], "20000 items"), ([f"{each}" * 2**18 for each in range(5)], "characters")],
    ids=["many", "long"],
)
def test_labels_are_bounded_in_number_and_in_characters(labels: list[str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        manifest(labels=labels, task=Task.MULTICLASS, decision=Likeliest())


def test_data_with_more_labels_than_a_bundle_may_have_is_refused_before_training() -> None:
    names = tuple(map(str, range(20_001)))
    dataset = SimpleNamespace(name="mine", splits={}, labels=SimpleNamespace(names=names))
    recipe: Any = SimpleNamespace(task=Task.MULTICLASS, seed=1, data=SimpleNamespace(load=lambda *_: dataset))
    with pytest.raises(DataError, match="mine: there are 20,001 labels; a model has at most 20,000"):
        steps.load(recipe, SILENT)


def test_thresholds_and_temperatures_are_numbers_in_their_range() -> None:
    for wrong in (1.5, -0.1, math.nan):
        with pytest.raises(ValidationError):
            PerLabel(thresholds=(wrong,))
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValidationError):
            Temperature(temperature=wrong)


def made(tmp_path: Path) -> Bundle:
    """A bundle with another one inside."""
    with staging(tmp_path / "work") as stage:
        part = stage / "parts" / "small"
        part.mkdir(parents=True)
        (part / "weights").write_text("few")
        (part / MANIFEST).write_bytes(manifest(kind="part").sealed().to_bytes())
        return commit(stage, tmp_path / "bundle", manifest(parts=("small",)))


def test_a_bundle_may_hold_another_and_its_checksums_cover_all_of_it(tmp_path: Path) -> None:
    bundle = made(tmp_path)
    assert Bundle.open(bundle.path).part("small").manifest.kind == "part"
    assert f"parts/small/{MANIFEST}" in bundle.manifest.files, "a manifest inside is a file like any other"
    with pytest.raises(BundleCorrupt, match='no part "large"'):
        bundle.part("large")
    inner = bundle.path / "parts" / "small" / MANIFEST
    inner.write_bytes(manifest(kind="other").sealed().to_bytes())
    with pytest.raises(BundleCorrupt, match=r"parts/small/manifest\.json"):
        Bundle.open(bundle.path)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    import os

    bundle = made(tmp_path)
    weights = bundle.path / "parts" / "small" / "weights"
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(BundleCorrupt, match="not a regular file"):
        Bundle.open(bundle.path)


def test_a_part_that_the_checksums_do_not_cover_is_refused(tmp_path: Path) -> None:
    bundle = made(tmp_path)
    files = {name: entry for name, entry in bundle.manifest.files.items() if name != "parts/small/manifest.json"}
    (bundle.path / MANIFEST).write_bytes(bundle.manifest.model_copy(update={"files": files}).sealed().to_bytes())
    with pytest.raises(BundleCorrupt, match=r"parts/small/manifest\.json is not covered by the bundle's checksums"):
        Bundle.open(bundle.path)
    with pytest.raises(ValidationError):
        manifest(parts=("../elsewhere",))
