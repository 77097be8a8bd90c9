"""Every form in which an encoder can be exported: size, error, decisions and speed (docs/decisions/0023).

    python benchmarks/export.py BUNDLE [--rounds 9]

BUNDLE is of kind encoder; its weights are exported again. Its recipe says where the rows are. Errors and decisions are
those of the validation rows against torch. Speeds are medians of interleaved rounds, one thread, by the time of the
thread and not of the clock, because machines are shared.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from shutil import copy
from statistics import median
from time import thread_time
from typing import Any

import numpy as np
import onnx
from tokenizers import Tokenizer

from purport.bundle import Bundle
from purport.errors import CheckFailed
from purport.kinds.checks import Agreement
from purport.kinds.encoder.batching import Collator, TokenRows
from purport.kinds.encoder.export import EncoderFacts, to_onnx
from purport.kinds.encoder.fit import restored, torch_logits
from purport.kinds.encoder.fuse import fuse
from purport.kinds.encoder.ladder import LADDER, Forms
from purport.kinds.encoder.recipe import EncoderRecipe
from purport.kinds.run import Fitted, Run
from purport.progress import SILENT
from purport.runtime.onnx import MODEL_FILE, TOKENIZER_FILE, OnnxScorer
from purport.runtime.spelling import Words
from purport.runtime.tokens import TextReader
from purport.training import steps

TEXTS, ALONE = 192, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    bundle = Bundle.open(asked.bundle)
    recipe, facts = EncoderRecipe.model_validate(bundle.manifest.recipe), bundle.facts(EncoderFacts)
    dataset = steps.load(recipe, SILENT)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        for file in bundle.path.glob("*.json"):
            copy(file, stage)
        train, valid = steps.rows(dataset, "train"), steps.rows(dataset, "valid")
        run: Run[Any] = Run(recipe, bundle.labels, train, valid, stage, stage)
        model = restored(bundle, recipe)
        tokenizer = Tokenizer.from_file(str(stage / TOKENIZER_FILE))
        reader = TextReader(tokenizer, facts.limit, Words.load(stage), facts.truncate)
        reference = torch_logits(model, TokenRows(valid, reader), Collator(reader.pad_id))
        plain = to_onnx(model)
        fuse(plain)
        forms, scorers = Forms(plain, run, facts), {}
        for rung in LADDER:
            onnx.save(forms.at(rung), stage / MODEL_FILE)
            size = (stage / MODEL_FILE).stat().st_size / 1e6
            scorer = OnnxScorer.load(stage, len(bundle.labels), facts, threads=1)
            scorers[str(rung)] = scorer
            error = float(np.sqrt(((scorer.score(valid.texts).logits - reference) ** 2).mean()))
            print(
                f"{rung!s:40} {size:5.1f} MB, error {error:.4f}, {decided(run, scorer, facts, reference)}", flush=True
            )
    speeds(scorers, list(valid.texts), asked.rounds)


def decided(run: Run[Any], scorer: OnnxScorer, facts: EncoderFacts, reference: Any) -> str:
    """The verdict of the check, as in training."""
    fitted = Fitted(scorer, facts, (Agreement(reference, ""),))
    try:
        return f"passes ({steps.check(fitted, steps.calibrate(run, fitted))['agreement_with_torch']:.2%} the same)"
    except CheckFailed as failed:
        return f"fails: {failed}"


def speeds(scorers: dict[str, OnnxScorer], texts: list[str], rounds: int) -> None:
    batch: dict[str, list[float]] = {name: [] for name in scorers}
    alone: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(rounds):
        for name, scorer in scorers.items():
            start = thread_time()
            scorer.score(texts[:TEXTS])
            batch[name].append(thread_time() - start)
            for text in texts[:ALONE]:
                start = thread_time()
                scorer.score([text])
                alone[name].append(thread_time() - start)
    for name in scorers:
        speed = min(len(texts), TEXTS) / median(batch[name])
        print(f"{name:40} {speed:6.0f} texts/s, one text {1e3 * median(alone[name]):.2f} ms")


if __name__ == "__main__":
    main()
