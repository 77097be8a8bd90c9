"""What every page must be: usable with a screen reader, and no wider than a phone."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def check(page: Page, what: str) -> None:
    found = Axe().run(page).response["violations"]
    grave = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]
    assert grave == [], what
    assert page.evaluate("document.documentElement.scrollWidth") <= 400, what
    assert page.get_by_role("main").count() == 1 and page.get_by_role("heading", level=1).count() == 1, what
