"""The OpenAPI document is true to the letter: schemathesis makes requests from it and finds nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from purport import Bundle

from .conftest import Starter


@pytest.mark.parametrize("key", ["", "boss"])
def test_schemathesis_finds_nothing(start: Starter, linear_bundle: Bundle, tmp_path: Path, key: str) -> None:
    """Without keys nothing may be changed; with one, models are. Both are described."""
    mine = shutil.copytree(linear_bundle.path, tmp_path / "mine")  # which is taught what comes to its mind
    with start(mine, PURPORT_API_KEYS=f"{key}@intent@classify@models" if key else "") as server:
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{server.url}/openapi.json",
            *("--checks", "all", "--max-examples", "60", "--seed", "0", "--workers", "1", "--no-color"),
            *(("--header", f"Authorization: Bearer {key}") if key else ()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert " passed" in done.stdout, done.stdout[-2000:]
