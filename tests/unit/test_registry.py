"""Packages that register something and are broken: only those who ask for it notice more than a warning."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from purport import registry
from purport.data.formats import format_of
from purport.errors import FormatUnknown, PurportError, RecipeError
from purport.training.recipe import load_kind

GROUPS = sorted(registry.GROUPS)
FAULTS = ["import missing_package", "raise RuntimeError('no licence')", "raise SystemExit(3)", "x = 1", "def ("]
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution ``name`` 1.2 whose one module is ``code``; it registers ``thing`` in every group."""

    def add(name: str, code: str) -> None:
        (tmp_path / f"{name}.py").write_text(code, "utf-8")
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", "utf-8")
        lines = "".join(f"[purport.{group}]\nthing = {name}:THING\n" for group in GROUPS)
        (info / "entry_points.txt").write_text(lines, "utf-8")
        registry._group.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    registry._warn.cache_clear()
    yield add
    registry._group.cache_clear()
    for module in tmp_path.glob("*.py"):
        sys.modules.pop(module.stem, None)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("group", GROUPS)
def test_a_broken_package_is_left_out_with_one_warning_that_names_it(
    group: str, fault: str, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    before = dict(registry.load_all(group))
    install("broken", fault)
    with caplog.at_level(logging.WARNING):
        assert dict(registry.load_all(group)) == before
        assert dict(registry.load_all(group)) == before
    (warning,) = caplog.messages
    assert "broken 1.2" in warning and '"thing"' in warning and registry.GROUPS[group] in warning


@pytest.mark.parametrize("fault", FAULTS)
def test_asking_for_what_is_broken_is_an_error(fault: str, install: Install) -> None:
    install("broken", fault)
    with pytest.raises(RecipeError, match=r'"thing" of the package broken 1\.2 cannot be loaded .*uninstall it'):
        load_kind("thing")


def test_two_packages_that_register_the_same_name_stop_only_those_who_ask_for_it(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("one", "THING = 1")
    install("two", "THING = 2")
    assert format_of(Path("rows.csv"))
    with pytest.raises(FormatUnknown):
        format_of(Path("rows.xlsx"))
    (warning,) = caplog.messages
    assert "one:THING" in warning and "two:THING" in warning
    with pytest.raises(PurportError, match="two distributions register"):
        registry.load("formats", "thing")


def test_commands_that_do_not_need_it_work(install: Install, tmp_path: Path) -> None:
    install("broken", FAULTS[0])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}

    def predict(source: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / source).write_text("text\nflights from boston to denver\n", "utf-8")
        command = [sys.executable, "-m", "purport", "predict", "atis", "-i", source, "-o", "answers.jsonl"]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)

    done = predict("rows.csv")
    assert done.returncode == 0 and "flight" in (tmp_path / "answers.jsonl").read_text("utf-8"), done.stderr
    done = predict("rows.thing")
    assert done.returncode == 65 and done.stderr.count("broken 1.2") == 1, done.stderr
