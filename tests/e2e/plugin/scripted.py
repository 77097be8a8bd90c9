"""An opener of bundles whose texts say how the model behaves: for tests of what keeps a server up."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence

import numpy as np

from purport import Bundle
from purport.manifest import ModelFacts
from purport.model import Lengths, Model, Traits
from purport.runtime.calibration import Calibrated, Scores


class ScriptedFacts(ModelFacts):
    logits: list[float]
    load_s: float = 0.0
    at_once: int = 0
    stuck_words: int = 0
    stuck_texts: int = 0


class ScriptedScorer:
    """Logits are the same for every text, those of the bundle.

    The words "slow", "slow 3", "fail", "shout" and "die" do as they say. A text of exactly ``stuck_words``, and
    ``stuck_texts`` at once or more, keep it busy for ever.
    """

    def __init__(self, facts: ScriptedFacts) -> None:
        self.traits = Traits(remote=facts.at_once > 0)
        self._logits = np.array(facts.logits, dtype=np.float32)
        self._words, self._texts = facts.stuck_words, facts.stuck_texts

    def score(self, texts: Sequence[str]) -> Scores:
        if 0 < self._texts <= len(texts) or (self._words and self._words in {len(text.split()) for text in texts}):
            time.sleep(1000)
        for text in texts:
            if "die" in text:
                os._exit(1)
            if "fail" in text:
                raise ZeroDivisionError("inner secret")
            if "shout" in text:
                sys.stderr.write("!" * 200_000)
                sys.stderr.flush()
            if slow := re.search(r"slow ?([\d.]*)", text):
                time.sleep(float(slow[1] or 0.4))
        return Scores(np.tile(self._logits, (len(texts), 1)), np.zeros(len(texts), dtype=np.bool_))

    def lengths(self, texts: Sequence[str]) -> Lengths:
        return Lengths("characters", 512, np.array([len(text) for text in texts], dtype=np.int64))


def open_model(bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> Model:
    facts = bundle.facts(ScriptedFacts)
    time.sleep(facts.load_s)
    return Calibrated(ScriptedScorer(facts), bundle.manifest.task, bundle.manifest.calibration)
