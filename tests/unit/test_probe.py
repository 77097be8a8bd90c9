"""A bundle is tried with all that a worker does with it while it loads, and with a batch."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from purport.errors import BundleError, BundleUnsupported
from purport.serving import probe as module
from purport.serving.probe import probe

from .scripted_bundles import PLUGIN, scripted


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process finds the opener of scripted bundles."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(PLUGIN), os.environ.get("PYTHONPATH")))))


def test_a_right_bundle_passes_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    asyncio.run(probe(scripted(tmp_path / "a")))
    with pytest.raises(BundleError, match='Did you mean "scripted"'):
        asyncio.run(probe(scripted(tmp_path / "b", opener="scirpted")))


@pytest.mark.parametrize("stuck", [{"stuck_words": 12}, {"stuck_words": 80}, {"stuck_texts": 20}])
def test_a_bundle_that_hangs_in_what_workers_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: dict[str, int]
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 4.0)
    with pytest.raises(BundleUnsupported, match="longer than 4 seconds"):
        asyncio.run(probe(scripted(tmp_path / "a", **stuck)))
