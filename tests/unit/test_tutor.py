"""Teaching in a process of its own: what it says becomes an answer, and a model that hangs ends with its time."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from purport import Bundle, Example
from purport.errors import BundleInvalid, NotTaught, PurportError
from purport.serving import tutor as module
from purport.serving.tutor import Wish, carry_out

TEXT = "the drone flew away with my ring"
WISH = Wish([Example(TEXT, ("damaged_item",))])


@pytest.fixture
def mine(linear_bundle: Bundle, tmp_path: Path) -> Bundle:
    return Bundle.open(shutil.copytree(linear_bundle.path, tmp_path / "mine"))


def test_it_teaches_and_takes_that_back(mine: Bundle) -> None:
    began = time.perf_counter()
    done = asyncio.run(carry_out(WISH, mine))
    assert 5 * (time.perf_counter() - began) < module._SECONDS <= 60, "easily within the bound, which is short"
    assert done["checked"] > 0 and all({"text", "gold", "broken"} < set(flip) for flip in done["flips"])
    taught = Bundle.open(mine.path)
    assert taught.manifest.taught is not None and taught.manifest.taught.examples == 1
    assert asyncio.run(carry_out(Wish(), taught)) == {}
    assert Bundle.open(mine.path) == mine
    with pytest.raises(NotTaught, match="nothing to undo"):
        asyncio.run(carry_out(Wish(), mine))
    (mine.path / "README.md").write_text("changed")
    with pytest.raises(BundleInvalid, match=r"README\.md"):
        asyncio.run(carry_out(WISH, mine))


def test_one_that_takes_too_long_is_ended_and_changes_nothing(mine: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.2)
    with pytest.raises(NotTaught, match=r"longer than 0\.2 seconds"):
        asyncio.run(carry_out(WISH, mine))
    assert Bundle.open(mine.path) == mine


@pytest.mark.parametrize(
    ("code", "said", "kind"), [(-9, "", NotTaught), (1, "", NotTaught), (5, json.dumps("Traceback"), PurportError)]
)
def test_a_process_that_dies_is_an_error(
    mine: Bundle, monkeypatch: pytest.MonkeyPatch, code: int, said: str, kind: type[Exception]
) -> None:
    async def run(*_: Any, **__: Any) -> tuple[int, str]:
        return code, said

    monkeypatch.setattr(module.errand, "run", run)
    with pytest.raises(PurportError) as raised:
        asyncio.run(carry_out(WISH, mine))
    assert type(raised.value) is kind
