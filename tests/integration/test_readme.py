"""What the README shows is what comes out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from purport import Classifier
from purport.serving.http_errors import HTTP

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_the_answer_shown_is_the_answer_given() -> None:
    text = json.loads(re.search(r"-d '(\{.*\})'", README)[1])["text"]  # type: ignore[index]
    shown = json.loads(re.search(r"```json\n(.*)\n```", README)[1])["intents"]  # type: ignore[index]
    given = Classifier.open("atis").predict([text])[0].top(3)
    assert [intent["label"] for intent in shown] == [scored.label for scored in given]
    assert [intent["confidence"] for intent in shown] == pytest.approx([s.confidence for s in given], abs=1e-3)


def test_the_python_shown_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]  # type: ignore[index]
    scope: dict[str, object] = {}
    exec(code, scope)
    prediction = scope["prediction"]
    assert prediction.labels == ("abbreviation",) and not prediction.out_of_scope  # type: ignore[attr-defined]


def test_every_http_label_is_in_the_table() -> None:
    assert all(f"`{label}`" in README for _, label in HTTP.values())


def test_every_link_leads_somewhere() -> None:
    root = Path(__file__).parents[2]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (root / target).exists(), target
