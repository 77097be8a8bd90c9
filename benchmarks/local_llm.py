"""What sharing work saves where a language model scores labels in this process: results/local_llm.json.

python benchmarks/local_llm.py      about a minute

The model is random (6 layers of width 384): how long it takes does not depend on what it says. Each
text is scored alone, as in a server without a queue, and in one call with others; and with a pass of its own for each
answer, of which a few are timed.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from purport import load_dataset
from purport.data.reading import Reading
from purport.evaluation.report import machine
from purport.kinds.llm.causal import Causal
from purport.kinds.llm.likelihoods import Answers
from purport.kinds.llm.local import LocalFacts, LocalScorer
from purport.kinds.llm.prompt import PromptFile
from purport.kinds.llm.recipe import Local
from purport.labels import LabelSet, Task

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "unit"))
SIZE = {"hidden_size": 384, "intermediate_size": 1152, "num_hidden_layers": 6, "num_attention_heads": 8,
        "num_key_value_heads": 2, "vocab_size": 16_000, "initializer_range": 0.05}  # fmt: skip
COPIES = (1,)  # of the 18 labels of the sample
TEXTS, TIMED = 4, 2


def main() -> None:
    """Write the file."""
    from tiny_causal import causal

    with tempfile.TemporaryDirectory() as folder:
        path = causal(Path(folder), context=16_384, **SIZE)
        rows = [measured(path, copies, task) for copies in COPIES for task in Task]
    report = {"command": "python benchmarks/local_llm.py", "machine": machine(), "rows": rows}
    (ROOT / "results" / "local_llm.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def measured(path: Path, copies: int, task: Task) -> dict[str, Any]:
    """One row: a number of labels, and milliseconds for a text."""
    data = load_dataset("sample", Reading(unlabelled="out_of_scope"))
    names = sorted({label for example in data["train"] for label in example.labels})
    labels = LabelSet(tuple(f"{name}_{n}" if n else name for name in names for n in range(copies)))
    facts = LocalFacts(limit=4000, local=Local(model=str(path)), checksum="0" * 64)
    model = Causal(path)
    scorer = LocalScorer(facts, PromptFile(instructions="Classify.", out_of_scope="none applies"), labels, task, model)
    texts = [example.text for example in data["test"]][:TEXTS]
    scorer.score(texts[:1])  # reads what all prompts begin with
    alone, together = timed(lambda: [scorer.score([each]) for each in texts]), timed(lambda: scorer.score(texts))
    few = Answers.of(scorer._answers.tokens[:TIMED])
    prompt = scorer._fitting(texts[0])[0]
    one = timed(lambda: model._alone([prompt], few)) / TIMED
    found = {
        "labels": len(labels), "task": str(task), "prompt_tokens": len(prompt),
        "ms_alone": alone / len(texts), "ms_together": together / len(texts),
        "ms_each_answer_read_alone": one * len(scorer._answers.tokens),
    }  # fmt: skip
    return {name: round(value) if isinstance(value, float) else value for name, value in found.items()}


def timed(work: Any) -> float:
    """Milliseconds of this thread's CPU and its helpers': what else the machine does is left out."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


if __name__ == "__main__":
    main()
