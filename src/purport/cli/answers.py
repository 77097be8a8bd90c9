"""How commands print an answer as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..prediction import Prediction, ScoredLabel


def json_line(text: str, prediction: Prediction, ranked: Sequence[ScoredLabel]) -> str:
    """One line; ``ranked`` are the labels that are shown with their confidence."""
    answer = {
        "text": text,
        "labels": list(prediction.labels),
        "out_of_scope": prediction.out_of_scope,
        "truncated": prediction.truncated,
        "intents": [{"label": each.label, "confidence": each.confidence} for each in ranked],
        "bundle": prediction.bundle,
    }
    return json.dumps(answer, ensure_ascii=False)
