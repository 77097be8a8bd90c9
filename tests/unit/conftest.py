"""Fixtures of several unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .scripted_llm import Script, serving


@pytest.fixture
def script() -> Iterator[Script]:
    with serving(Script()) as running:
        yield running
