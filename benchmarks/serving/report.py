"""results/serving/README.md from the JSON files beside it, through report.md.j2.

python benchmarks/serving/report.py
"""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, StrictUndefined

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results" / "serving"


def main() -> None:
    found = {path.stem.replace("-", "_"): json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")}
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    template = environment.from_string((HERE / "report.md.j2").read_text("utf-8"))
    (RESULTS / "README.md").write_text(template.render(**found).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()
