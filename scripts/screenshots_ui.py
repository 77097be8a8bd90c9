"""Make docs/images/ui: each page of the web app, with a model of the sample dataset, in headless Chromium.

It needs the extras `serve`, `ui`, `eval`, `train` and `dev`, and a Chromium; it takes a minute.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from screenshots import IMAGES, ROOT, browser_path, keep, purport

from purport.data.catalog import load
from purport.data.reading import Reading

UI = IMAGES / "ui"
KEY = "demo"
TEXT = "my parcel arrived with a broken lid, where is my refund"
_STARTS_S = 60


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address of a server of two bundles in ``folder``."""
    environment = os.environ | {"PURPORT_API_KEYS": f"{KEY}@classify@models", "PURPORT_REPORTS_DIR": "reports"}
    environment["PURPORT_REVIEW_DIR"] = "queues"
    command = [sys.executable, "-m", "purport", "serve", "now=now", "candidate=candidate", "--port", "0"]
    log = folder / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=stream)
    try:
        began = time.monotonic()
        while not (found := re.search(r" on (http://\S+)", log.read_text("utf-8"))) or "ready" not in log.read_text(
            "utf-8"
        ):
            if time.monotonic() - began > _STARTS_S:
                sys.exit(log.read_text("utf-8"))
            time.sleep(0.1)
        yield found[1]
    finally:
        process.terminate()
        process.wait()


def prepared(folder: Path) -> None:
    """Two bundles, a report, a review queue and a file of texts below ``folder``."""
    recipe = ROOT / "recipes" / "sample-linear.toml"
    purport(folder, "train", recipe, "--out", "now", "--set", "data.keep_examples=true")
    purport(folder, "train", recipe, "--out", "candidate", "--set", "model.min_count=1", "--set", "model.c=0.3")
    purport(folder, "evaluate", "now", "test", "--report", "reports/now")
    (folder / "queues").mkdir()
    with (folder / "messages.csv").open("w", encoding="utf-8", newline="") as stream:
        write = csv.writer(stream)
        write.writerow(["message"])
        write.writerows([text] for text in load("sample", Reading(unlabelled="skip"))["test"].texts)


def shots(tab: Page, url: str, folder: Path) -> None:
    """An image of each page."""
    tab.goto(f"{url}/ui/sign-in")
    tab.get_by_label("Your key").fill(KEY)
    tab.get_by_role("button", name="Sign in").click()
    tab.get_by_label("Text", exact=True).fill(TEXT)
    tab.get_by_role("button", name="Ask the model").click()
    tab.locator(".words").wait_for()
    tab.locator("#verdict").scroll_into_view_if_needed()
    keep(tab.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": 1000, "height": 1180}), UI / "try.png")
    for page, button in (("batch", "Classify"), ("compare", "Compare")):
        tab.goto(f"{url}/ui/{page}")
        tab.get_by_label("Or a file").set_input_files(folder / "messages.csv")
        tab.get_by_role("button", name=button).click()
        tab.locator("#shown").wait_for()
        if page == "compare":
            tab.get_by_role("link", name="Show only these").click()
        keep(tab.screenshot(), UI / f"{page}.png")
    tab.goto(f"{url}/ui/report")
    keep(tab.screenshot(), UI / "report.png")


def main() -> None:
    """Make every image."""
    UI.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        prepared(folder)
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"])
        with server(folder) as url:
            shots(browser.new_page(color_scheme="light", viewport={"width": 1000, "height": 760}), url, folder)
        browser.close()


if __name__ == "__main__":
    main()
