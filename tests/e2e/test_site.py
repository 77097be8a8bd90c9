"""The documentation site: built strictly, readable without a network, searchable, readable on a telephone."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .walkthrough import ROOT

PAGES = ["index.html", "tutorial.html", "reference/cli.html", "explanation/security.html"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` builds, in a directory of its own."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "site"


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("wrong", ["[nothing](nothing.md)", "[no heading](tutorial.md#no-such-heading)"])
def test_a_broken_link_fails_the_build(tmp_path: Path, wrong: str) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    (tmp_path / "docs" / "index.md").write_text(f"# Purport\n\n{wrong}\n", "utf-8")
    assert build(tmp_path).returncode != 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_no_network_and_fits_a_telephone(page: str, scheme: str, address: str, browser: Browser) -> None:
    tab = browser.new_page(color_scheme=scheme, viewport={"width": 400, "height": 800})  # type: ignore[arg-type]
    problems: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(f"{address}/{page}")
    tab.wait_for_load_state("networkidle")
    assert problems == []
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    missing = tab.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    assert missing == []
    tab.close()


def test_the_search_finds_a_page(address: str, browser: Browser) -> None:
    tab = browser.new_page(viewport={"width": 1200, "height": 800})
    tab.goto(address + "/index.html")
    tab.wait_for_load_state("networkidle")
    tab.keyboard.press("/")
    tab.keyboard.type("rollback", delay=20)
    tab.wait_for_function("document.body.innerText.toLowerCase().includes('retrain')", timeout=10_000)
    found = tab.locator("a[href*='how-to/retraining']").filter(visible=True)
    found.first.wait_for(timeout=10_000)
    tab.close()


def test_no_page_names_another_host_as_a_source(built: Path) -> None:
    """Scripts, styles, fonts and images come with the site."""
    for page in built.rglob("*.html"):
        sources = re.findall(r"<(?:script|img|link)\b[^>]*(?:src|href)=\"?(https?:[^\" >]+)", page.read_text("utf-8"))
        assert sources == [], page.name
