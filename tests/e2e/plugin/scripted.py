"""A kind of bundle, added the way any third party adds one, whose texts say how the model behaves."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

import numpy as np

from purport import Bundle
from purport.runtime import Scores


class ScriptedScorer:
    """Logits are the same for every text, those of the bundle; "slow", "slow 3", "fail" and "die" do as they say."""

    def __init__(self, logits: list[float]) -> None:
        self._logits = np.array(logits, dtype=np.float32)

    @classmethod
    def open(cls, bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> ScriptedScorer:
        time.sleep(bundle.manifest.model.get("load_s", 0))
        return cls(bundle.manifest.model["logits"])

    def score(self, texts: Sequence[str]) -> Scores:
        for text in texts:
            if "die" in text:
                os._exit(1)
            if "fail" in text:
                raise ZeroDivisionError("inner secret")
            if slow := re.search(r"slow ?([\d.]*)", text):
                time.sleep(float(slow[1] or 0.4))
        return Scores(np.tile(self._logits, (len(texts), 1)), np.zeros(len(texts), dtype=np.bool_))
