"""The oldest versions that pyproject.toml admits, as constraints for pip: scripts/lowest.py EXTRA… > lowest.txt

Only direct dependencies are pinned; theirs are the resolver's choice. Torch and what is built on it stay as they are
pinned in constraints.txt: old builds of torch are not to be had for every machine.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

LEFT_OUT = ("torch", "transformers", "huggingface-hub", "peft", "accelerate")


def lowest(extras: list[str]) -> dict[str, str]:
    """The lowest version of each direct dependency of the core and of ``extras``."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    found = {}
    for requirement in wanted:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[\w,]+\])?[>=]=([\w.]+)", requirement)
        assert match, f"{requirement} has no lower bound"
        found[match[1]] = match[2]
    return {name: version for name, version in found.items() if name not in LEFT_OUT}


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in sorted(lowest(sys.argv[1:]).items())))
