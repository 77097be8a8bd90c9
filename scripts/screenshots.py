"""Make docs/images: the first screen of each page that Purport writes, for the sample dataset, in headless Chromium.

`python scripts/screenshots.py` needs the extras `eval` and `train` and a Chromium; it takes about a minute.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
LARGEST = 200_000
_SIZE = {"width": 1000, "height": 760}


def purport(folder: Path, *arguments: object) -> None:
    """Run a command in ``folder``."""
    subprocess.run([sys.executable, "-m", "purport", *map(str, arguments)], cwd=folder, check=True, capture_output=True)


def pages(folder: Path) -> list[str]:
    """Write the four pages below ``folder``; each is a directory of the name that is given back."""
    recipe = ROOT / "recipes" / "sample-linear.toml"
    purport(folder, "train", recipe, "--out", "now")
    purport(folder, "train", recipe, "--out", "candidate", "--set", "model.min_count=1", "--set", "model.c=0.3")
    purport(folder, "explore", "sample", "-o", "explore")
    purport(folder, "doctor", "sample", "-o", "doctor", "--fail-on", "never")
    purport(folder, "evaluate", "now", "test", "--report", "evaluate")
    purport(folder, "compare", "now", "candidate", "-o", "compare")
    return ["explore", "doctor", "evaluate", "compare"]


def keep(taken: bytes, image: Path) -> None:
    """Write a screenshot as a small PNG: few colours are enough for text and bars."""
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(image, optimize=True)
    size = image.stat().st_size
    assert size < LARGEST, f"{image.name} has {size} bytes; at most {LARGEST} are wanted in the repository"
    print(f"{image.relative_to(ROOT)}: {size // 1000} kB")


def browser_path() -> str:
    """The Chromium of this machine."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or sys.exit("no Chromium: apt-get install chromium")


def main() -> None:
    """Make every image."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(color_scheme="light", viewport=_SIZE)  # type: ignore[arg-type]
        for each in pages(Path(name)):
            tab.goto((Path(name) / each / "index.html").as_uri())
            keep(tab.screenshot(), IMAGES / f"{each}.png")
        browser.close()


if __name__ == "__main__":
    main()
