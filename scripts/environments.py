"""Install every environment alone from the wheel and weigh it: results/environments.json.

python scripts/environments.py      a few minutes; downloads what pip has not cached
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from purport.evaluation.report import machine

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "results" / "environments.json"
EXTRAS = {"inference": "", "train": "[train]", "eval": "[eval]", "serve": "[serve]", "client": "[client]",
          "sign": "[sign]", "openai": "[openai]"}  # fmt: skip


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        call(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT)
        (wheel,) = Path(folder).glob("*.whl")
        found = {name: weigh(Path(folder, name), f"{wheel}{extra}") for name, extra in EXTRAS.items()}
    report = {"command": "python scripts/environments.py", "machine": machine(), "environments": found}
    RESULT.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def weigh(folder: Path, what: str) -> dict[str, Any]:
    """Install ``what`` into a new environment; MB of all its files without pip, number of packages, conflicts."""
    call(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    began = time.monotonic()
    call(*pip, "install", "--quiet", "-c", ROOT / "constraints.txt", what)
    seconds = time.monotonic() - began
    packages = json.loads(call(*pip, "list", "--format", "json"))
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink() and path.is_file())
    return {
        "packages": len(packages),
        "megabytes": round(size / 1e6),
        "seconds": round(seconds),
        "check": call(*pip, "check").strip(),
    }


def call(*command: object) -> str:
    """What a command prints."""
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
