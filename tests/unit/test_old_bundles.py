"""A bundle that the last version wrote opens, and answers to the last bit as it did there.

``tests/data/linear-format-1`` was written by ``purport train`` of the version with format 1, from the sample. What it
answered is worked out here once more by the formulas of that version, for sums differ between processors.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purport import Bundle, Classifier, Dataset
from purport.errors import BundleCorrupt
from purport.manifest import Manifest, PerLabel, canonical, checksum

OLD = Path(__file__).parents[1] / "data" / "linear-format-1"


def manifest_of(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((path / "manifest.json").read_text("utf-8"))
    return fields


def sigmoid(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = logits.astype(np.float64) / temperature
    probabilities: np.ndarray = (0.5 * (1.0 + np.tanh(0.5 * scaled))).astype(np.float32)
    return probabilities


def words(text: str) -> Iterator[str]:
    return (f"w {word}" for word in re.findall(r"\w+|[^\w\s]", text[:2000].lower()))


def test_the_linear_bundle_answers_to_the_bit_as_before(sample: Dataset) -> None:
    fields = manifest_of(OLD)
    terms = json.loads((OLD / "vocabulary.json").read_text("utf-8"))
    columns = {term: column for column, term in enumerate(terms)}
    with np.load(OLD / "linear.npz") as arrays:
        idf, weights, bias = arrays["idf"], arrays["weights"], arrays["bias"]
    texts = [*sample["test"].texts, "", "nothing of this was ever seen"]
    logits = np.empty((len(texts), len(bias)), dtype=np.float32)
    for row, text in enumerate(texts):
        counts = Counter(word for word in words(text) if word in columns)
        logits[row] = bias
        if counts:
            found = np.array([columns[word] for word in counts])
            features = (1 + np.log(np.array([*counts.values()], dtype=np.float32))) * idf[found]
            features /= np.linalg.norm(features)
            logits[row] = features @ weights[found] + bias
    expected = sigmoid(logits, fields["calibration"]["temperature"])
    classifier = Classifier.open(OLD)
    assert (classifier.predict_proba(texts) == expected).all()
    decided = expected >= np.asarray(fields["decision"]["thresholds"], dtype=np.float32)
    for prediction, row in zip(classifier.predict(texts), decided, strict=True):
        assert set(prediction.labels) == {fields["labels"][label] for label in np.flatnonzero(row)}
        assert prediction.bundle == fields["id"], "the bundle keeps its id"


def test_what_a_manifest_of_format_1_says_is_kept() -> None:
    fields, manifest = manifest_of(OLD), Bundle.open(OLD).manifest
    assert fields["format_version"] == 1 and manifest.opener == "linear" and manifest.id == fields["id"]
    assert manifest.decision == PerLabel(thresholds=fields["decision"]["thresholds"])
    assert (manifest.model.limit, manifest.model.unit) == (2000, "characters")
    assert manifest.checks == fields["gates"] and manifest.recipe == fields["recipe"]
    atis = Bundle.open("atis").manifest
    assert (atis.kind, atis.opener, atis.model.limit, atis.model.unit) == ("distilled", "onnx", 64, "tokens")


def altered(tmp_path: Path, **changes: Any) -> Path:
    """A bundle of format 1 with other fields, sealed as if it had been written so."""
    fields = manifest_of(OLD) | changes
    for name in fields["files"]:
        (tmp_path / name).write_bytes((OLD / name).read_bytes())
    (tmp_path / "manifest.json").write_bytes(canonical({**fields, "id": checksum(fields)}))
    return tmp_path


@pytest.mark.parametrize("thresholds", [[], [0.5]])
def test_thresholds_that_do_not_fit_the_labels_are_found_when_the_bundle_is_opened(
    tmp_path: Path, thresholds: list[float]
) -> None:
    decision = {"thresholds": thresholds, "reject_below": 0.0}
    with pytest.raises(BundleCorrupt, match=rf"{len(thresholds)} thresholds for 18 labels"):
        Bundle.open(altered(tmp_path, decision=decision))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["a", "a"]}, "occurs twice"),
        ({"calibration": {"method": "temperature", "temperature": 0}}, "calibration"),
        ({"model": {"ngrams": {"words": "many"}, "features": 1}}, "model"),
        ({"decision": None}, "not a manifest of format 1"),
    ],
)
def test_values_that_make_no_sense_are_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BundleCorrupt, match=said):
        Classifier.open(altered(tmp_path, **changes))


def test_calibration_and_thresholds_that_were_not_fitted_say_so(tmp_path: Path) -> None:
    recipe = manifest_of(OLD)["recipe"] | {"decide": {"calibration": "none", "thresholds": "fixed"}}
    manifest = Bundle.open(altered(tmp_path, recipe=recipe, calibration={"method": "temperature", "temperature": 1.0}))
    assert isinstance(manifest.manifest, Manifest) and manifest.manifest.calibration.method == "none"
    assert isinstance(manifest.manifest.decision, PerLabel) and not manifest.manifest.decision.fitted
