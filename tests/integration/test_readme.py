"""What the README says of the service is complete; tests/e2e/test_docs.py executes its blocks."""

from __future__ import annotations

from pathlib import Path

from purport.serving.http_errors import HTTP

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_every_http_label_is_in_the_table() -> None:
    assert all(f"`{label}`" in README for _, label in HTTP.values())
