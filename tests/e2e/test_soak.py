"""A short soak: load, swaps, nonsense and clients that leave at once, and every answer right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from purport import Bundle, Dataset

BENCHMARKS = Path(__file__).parents[2] / "benchmarks" / "serving"


def test_a_short_soak(
    linear_bundle: Bundle, encoder_bundle: Bundle, sample: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness
    import soak

    monkeypatch.setattr(soak, "SWAP_S", 0.2)  # besides the trial of each bundle
    bundles = [str(linear_bundle.path), str(encoder_bundle.path), "atis"]
    texts = list(sample["test"].texts)
    with harness.purport(f"main={bundles[0]}", "--cache", "0", "--models-dir", "/") as server:
        found = soak.soak(server, bundles, texts, 30)
    assert found["wrong_answers"] == 0 and found["unexpected"] == []
    assert set(found["statuses"]) <= {"200", "400", "503"} and found["statuses"]["200"] > 500
    assert len(found["answers_checked"]) == 3, "each bundle answered"
    assert found["swaps"] > len(bundles), "each was served again"
    assert found["clients_that_left"] > 0
    assert found["descriptors"]["end"] <= found["descriptors"]["after_warm_up"] + 20
    for module in ("harness", "proxy", "soak"):
        sys.modules.pop(module)
