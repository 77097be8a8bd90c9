"""The parts of the web app and its navigation: a new page is a line here."""

from __future__ import annotations

from fastapi import APIRouter

from ..serving.context import AppContext
from . import batch, fixes, reports, review, try_page
from .site import Pages, Site, entrance, rest

NAVIGATION: tuple[tuple[str, str], ...] = (
    ("/", "Try"),
    ("/compare", "Compare"),
    ("/batch", "Batch"),
    ("/report", "Report"),
    ("/review", "Review"),
    ("/fixes", "Fix plan"),
)
"""Path and name of each entry; the first is the first page."""

PARTS: tuple[Pages, ...] = (try_page.pages, batch.pages, reports.pages, review.pages, fixes.pages)
"""What makes the routes of each part."""


def web_app(context: AppContext, prefix: str) -> APIRouter:
    """All routes of the web app of one server."""
    site = Site(context, prefix, NAVIGATION)
    whole = APIRouter(include_in_schema=False)
    for part in (entrance, *PARTS, rest):
        whole.include_router(part(site))
    return whole
