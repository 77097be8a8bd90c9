"""The metadata that pip, Poetry and uv read."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
REQUIREMENTS = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]


def name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_no_extra_refers_to_another() -> None:
    """Poetry says "listed as a dependency of itself" and stops."""
    assert "purport" not in map(name, REQUIREMENTS)


def test_a_package_has_one_bound_in_every_extra() -> None:
    bounds = defaultdict(set)
    for requirement in REQUIREMENTS:
        bounds[name(requirement)].add(requirement)
    assert {key: found for key, found in bounds.items() if len(found) > 1} == {}


def test_every_requirement_is_pinned() -> None:
    pins = {name(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line}
    assert set(map(name, REQUIREMENTS)) <= pins


def test_requirements_txt_installs_every_extra() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    pins, project = lines
    assert pins == "-c constraints.txt"
    named = set(project.removeprefix("-e .[").removesuffix("]").split(","))
    # What parquet holds is in train and eval; gguf is compiled for minutes, in an environment of tox.
    assert named == set(EXTRAS) - {"parquet", "gguf"} and set(EXTRAS["parquet"]) <= set(EXTRAS["train"]) & set(
        EXTRAS["eval"]
    )
