"""Every page in a real browser: no console error, no request, figures described, readable on a telephone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from purport import Bundle

COMMANDS = ("explore", "doctor", "evaluate", "compare")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, linear_bundle: Bundle, encoder_bundle: Bundle) -> dict[str, Path]:
    """The four commands, run as a user runs them."""
    root = tmp_path_factory.mktemp("pages")
    calls: dict[str, list[str | Path]] = {
        "explore": ["explore", "sample", "-o", root / "explore"],
        "doctor": ["doctor", "sample", "-o", root / "doctor", "--bundle", linear_bundle.path],
        "evaluate": ["evaluate", linear_bundle.path, "test", "--report", root / "evaluate", "--resamples", "50"],
        "compare": ["compare", linear_bundle.path, encoder_bundle.path, "-o", root / "compare", "--resamples", "50"],
    }
    assert tuple(calls) == COMMANDS
    for call in calls.values():
        done = subprocess.run(
            [sys.executable, "-m", "purport", *map(str, call)], capture_output=True, text=True, cwd=root, check=False
        )
        assert done.returncode == 0, done.stderr
    return {name: root / name for name in calls}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("command", COMMANDS)
def test_page_in_a_browser(command: str, scheme: str, pages: dict[str, Path], browser: Browser) -> None:
    address = (pages[command] / "index.html").as_uri()
    tab = browser.new_page(color_scheme=scheme, viewport={"width": 400, "height": 800})  # type: ignore[arg-type]
    problems: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(address)
    tab.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert problems == []
    assert [url for url in requests if not url.startswith(("data:", address))] == []
    figures = tab.evaluate(
        "[...document.images].map(i => [i.alt, i.naturalWidth, i.closest('figure').innerText.trim()])"
    )
    assert figures and all(len(alt) > 20 and width > 0 and caption for alt, width, caption in figures)
    # Readable at 400 pixels: nothing but what scrolls in its own box is wider, and text is not tiny.
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    smallest = tab.evaluate(
        "Math.min(...[...document.querySelectorAll('p, td, th, dd, dt, li, figcaption')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 12
    # Text of 9 points in a figure of 4.6 inches stays above 7 points on the screen.
    shrunk = tab.evaluate(
        "[...document.images].filter(i => !i.closest('.large')).map(i => i.clientWidth / i.naturalWidth)"
    )
    assert all(ratio >= 0.75 for ratio in shrunk)
    contrast = tab.evaluate(_CONTRAST)
    assert contrast >= 4.5, "text is too pale (WCAG 2.1, 1.4.3)"
    tab.close()


_CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll('h1, h2, p, td, th, dd, dt, a, figcaption')].map(e => {
    const ink = light(getComputedStyle(e).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05); }));
}"""


@pytest.mark.parametrize("command", COMMANDS)
def test_facts_and_figures_lie_beside_the_page(command: str, pages: dict[str, Path]) -> None:
    facts = json.loads((pages[command] / "facts.json").read_text("utf-8"))
    assert facts
    html = (pages[command] / "index.html").read_text("utf-8")
    drawn = {file.stem for file in (pages[command] / "figures").iterdir()}
    assert drawn and len(drawn) == html.count("<img ")
    for name in drawn:
        assert (pages[command] / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (pages[command] / "figures" / f"{name}.svg").read_text("utf-8")
        assert "prefers-color-scheme: dark" in svg and "#010203" not in svg


def test_a_page_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        subprocess.run(
            [sys.executable, "-m", "purport", "explore", "sample", "-o", name],
            check=True, capture_output=True, cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": str(len(name))},
        )  # fmt: skip
    assert (tmp_path / "one" / "index.html").read_bytes() == (tmp_path / "two" / "index.html").read_bytes()
