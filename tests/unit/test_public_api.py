"""Importing costs nothing, and the public names are the documented ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import purport

HEAVY = ("numpy", "torch", "transformers", "sklearn", "pandas", "onnxruntime", "pydantic", "fastapi", "rich", "pyarrow")


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy() -> None:
    assert not modules_after("import purport") & set(HEAVY)


def test_the_command_line_loads_nothing_heavy() -> None:
    assert not modules_after("import purport.cli.main") & (set(HEAVY) - {"rich"})


@pytest.mark.parametrize("module", ["purport.classifier", "purport.predict_file", "purport.evaluation.evaluate"])
def test_answering_and_measuring_load_no_training_library(module: str) -> None:
    assert not modules_after(f"import {module}") & {"torch", "transformers", "peft", "sklearn", "pandas"}


def test_answering_reports_nothing_to_anybody(tmp_path: Path) -> None:
    """ONNX Runtime would note an id of this machine and what it has to report (but not in CI, which it recognises)."""
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("ORT_")}
    environment = {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = "from purport import Classifier; Classifier.open('atis').predict(['hello'])"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_every_public_name_resolves() -> None:
    for name in purport.__all__:
        assert getattr(purport, name) is not None
    assert set(dir(purport)) == set(purport.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Clasifier'"):
        purport.Clasifier  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert purport.__version__ == version("purport")
