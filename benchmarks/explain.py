"""Whether explanations name the words that decide: deletion and insertion curves against random order, and time.

    python benchmarks/explain.py --output results/explain/curves.json
    python benchmarks/explain.py clinc150=bundles/clinc150 --output results/explain/clinc150.json
    python benchmarks/explain.py --server --output results/explain/server.json

Each argument is the dataset of a bundle and its directory, or `linear` for one that is trained on the spot; the first
form is short for `atis=atis atis=linear snips=linear sample=linear`. Of the test split, up to `--rows` texts of at
least four words for which a label is decided are drawn with a seed, and the most probable decided label is explained.

Deletion (Petsiuk et al. 2018): words are left out one by one, the weightiest first; the area is the mean probability of
the label over all steps, and a good explanation makes it small. Insertion: words are put back in that order, and the
area should be large. `gain` is how much better the area is than that of five random orders of the same text, on average
over texts, with a 95 % interval (bootstrap over texts, BCa). `ms` is the time of a whole explanation, on one thread.

`--server` starts `purport serve atis` and times the default explanation of texts of 15 words over HTTP, one after the
other, none of them twice; in five rounds, each with a new server, for shared machines are at times a third slower.
`cpu_ms` is what all processes of the server compute for one, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from numpy.typing import NDArray
from scipy.stats import bootstrap

from purport import Bundle, Classifier
from purport.evaluation.report import machine
from purport.evaluation.rows import evaluation_split
from purport.explaining.explain import explainer_for
from purport.explaining.question import Question, Units
from purport.text import spans
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

METHODS = ("contributions", "occlusion", "shapley", "integrated_gradients")
DATASETS = ("atis=atis", "atis=linear", "snips=linear", "sample=linear")
RECIPES: dict[str, dict[str, Any]] = {
    "atis": {"task": "multilabel", "data": {"name": "atis", "valid": 0.1}},
    "snips": {"task": "multiclass", "data": {"name": "snips"}},
    "sample": {"task": "multilabel", "data": {"name": "sample", "unlabelled": "out_of_scope"}},
}
RANDOM_ORDERS = 5
LEAST_WORDS = 4
WORDS_ON_SERVER = 15
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", default=DATASETS, help="DATASET=BUNDLE or DATASET=linear")
    parser.add_argument("--rows", type=int, default=150, help="Texts of each dataset.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--server", action="store_true", help="Time explanations of a server.")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    found = served(args.rows, args.seed) if args.server else curves(args.bundles, args.rows, args.seed)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps({"machine": machine(), "seed": args.seed, **found}, indent=2) + "\n")


def curves(bundles: list[str], rows: int, seed: int) -> dict[str, Any]:
    """The curves of each of ``bundles``."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for each in bundles:
            dataset, _, where = each.partition("=")
            if where == "linear":
                recipe = parse_recipe({"kind": "linear", **RECIPES[dataset]})
                bundle = train(recipe, Path(folder, dataset))
                assert bundle is not None
            else:
                bundle = Bundle.open(where)
            found[f"{dataset}, {bundle.manifest.kind}"] = measured(Classifier.open(bundle, threads=1), rows, seed)
            print(each, json.dumps(found[f"{dataset}, {bundle.manifest.kind}"]["methods"], indent=1), flush=True)
    return {"bundles": found}


def measured(classifier: Classifier, rows: int, seed: int) -> dict[str, Any]:
    """The curves of each method that fits ``classifier``."""
    _, split = evaluation_split(classifier.bundle, "test")
    random = np.random.default_rng(seed)
    texts = list(split.texts)
    texts = [texts[at] for at in random.permutation(len(texts)).tolist()]
    questions = []
    for text in texts:
        question = Question(classifier, Units(text, 2**20))
        if len(question.units) >= LEAST_WORDS and question.decided(question.units.full[None]).any():
            questions.append(question)
        if len(questions) == rows:
            break
    labels = [int(np.where(each.decided(each.units.full[None])[0], each.whole.probabilities[0], -1).argmax())
              for each in questions]  # fmt: skip
    chance = np.array([
        np.mean([areas(question, label, random.permutation(len(question.units))) for _ in range(RANDOM_ORDERS)], axis=0)
        for question, label in zip(questions, labels, strict=True)
    ])  # fmt: skip
    methods = {}
    for name in METHODS:
        if explainer_for_or_none(classifier.bundle, name):
            methods[name] = by_method(classifier, name, questions, labels, chance)
    return {
        "bundle": classifier.bundle.manifest.id,
        "texts": len(questions),
        "mean_words": round(float(np.mean([len(each.units) for each in questions])), 1),
        "random": {"deletion": round(chance[:, 0].mean(), 4), "insertion": round(chance[:, 1].mean(), 4)},
        "methods": methods,
    }


def explainer_for_or_none(bundle: Bundle, name: str) -> bool:
    """Whether ``name`` fits ``bundle``, and what it needs is installed."""
    from importlib.util import find_spec

    from purport.errors import MethodUnfit

    try:
        explainer_for(bundle, name)
    except MethodUnfit:
        return False
    return name != "integrated_gradients" or find_spec("captum") is not None


def by_method(
    classifier: Classifier, name: str, questions: list[Question], labels: list[int], chance: NDArray[np.float64]
) -> dict[str, Any]:
    """Areas and gains of one method, and the time and the calls that it takes."""
    found, seconds, calls, gaps = [], [], [], []
    for question, label in zip(questions, labels, strict=True):
        began = time.perf_counter()
        explained = classifier.explain(question.units.text, label=classifier.labels.names[label], method=name)
        seconds.append(time.perf_counter() - began)
        calls.append(explained.calls)
        if explained.gap is not None and explained.base is not None:
            gaps.append(abs(explained.gap) / max(abs(explained.full - explained.base), 1e-9))
        # Words that were taken together go one after the other.
        weight = np.zeros(len(question.units))
        for word in explained.words:
            weight[[word.start <= start < word.end for start, _ in question.units.places]] = word.weight
        found.append(areas(question, label, np.argsort(-weight, kind="stable")))
    area = np.array(found)
    ms = np.array(seconds) * 1000
    return {
        "deletion": summary(area[:, 0], chance[:, 0] - area[:, 0]),
        "insertion": summary(area[:, 1], area[:, 1] - chance[:, 1]),
        "ms": {"p50": round(float(np.median(ms)), 2), "p95": round(float(np.percentile(ms, 95)), 2)},
        "mean_calls": round(float(np.mean(calls)), 1),
        "largest_gap": float(f"{max(gaps):.2g}") if gaps else None,
    }


def areas(question: Question, label: int, order: NDArray[np.intp]) -> tuple[float, float]:
    """The areas of the deletion curve and of the insertion curve: means over all steps."""
    n = len(order)
    inserted = np.array([[unit in order[:size] for unit in range(n)] for size in range(n + 1)], dtype=np.bool_)
    both = 1 / (1 + np.exp(-question.values(np.vstack([~inserted, inserted]), label)))
    return float(both[: n + 1].mean()), float(both[n + 1 :].mean())


def summary(area: NDArray[np.float64], gain: NDArray[np.float64]) -> dict[str, Any]:
    """The mean area, and the mean gain with its interval."""
    interval = bootstrap((gain,), np.mean, n_resamples=2000, rng=np.random.default_rng(0)).confidence_interval
    return {
        "area": round(float(area.mean()), 4),
        "gain": round(float(gain.mean()), 4),
        "low": round(float(interval.low), 4),
        "high": round(float(interval.high), 4),
    }


def served(rows: int, seed: int) -> dict[str, Any]:
    """The time of explanations of a server in each round, and the median of the rounds."""
    rounds = [on_server(rows, seed) for _ in range(ROUNDS)]
    median = {name: float(np.median([each["ms"][name] for each in rounds])) for name in rounds[0]["ms"]}
    return {"median_ms": median, "rounds": rounds}


def on_server(rows: int, seed: int) -> dict[str, Any]:
    """The time of the default explanation of texts of 15 words."""
    random = np.random.default_rng(seed)
    texts = evaluation_split(Bundle.open("atis"), "train")[1].texts
    places = [(text, spans(text)) for text in texts]
    cut = {text[: found[WORDS_ON_SERVER - 1][1]] for text, found in places if len(found) >= WORDS_ON_SERVER}
    chosen = random.permutation(sorted(cut))[: rows + 20].tolist()
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "purport", "serve", "atis", "--port", "0"]
        process = subprocess.Popen(command, stderr=log, env=os.environ | {"PURPORT_WORKERS": "2"})
        try:
            url = address(log)
            # The client of the standard library: an answer is read in 0.3 ms, and httpx needs 2 ms.
            with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as client:
                while not ready(url):
                    time.sleep(0.1)
                for text in chosen[:20]:
                    timed(client, text)
                before = cpu_seconds(process.pid)
                seconds, calls = zip(*[timed(client, text) for text in chosen[20:]], strict=True)
                busy = cpu_seconds(process.pid) - before
        finally:
            process.terminate()
            process.wait()
    ms = np.array(seconds) * 1000
    return {
        "requests": len(ms),
        "words": WORDS_ON_SERVER,
        "mean_calls": round(float(np.mean(calls)), 1),
        "ms": {f"p{share}": round(float(np.percentile(ms, share)), 2) for share in (5, 50, 95)},
        "cpu_ms": round(busy * 1000 / len(ms), 2),
        "load_average": os.getloadavg()[0],
    }


def cpu_seconds(pid: int) -> float:
    """The time that a process and its children have computed."""
    server = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (server, *server.children(recursive=True)))


def ready(url: str) -> bool:
    """Whether the server answers; it says its address before it listens."""
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.ConnectError:
        return False


def timed(client: HTTPConnection, text: str) -> tuple[float, int]:
    began = time.perf_counter()
    client.request("POST", "/v1/explain", json.dumps({"text": text}), {"Content-Type": "application/json"})
    response = client.getresponse()
    body = response.read()
    seconds = time.perf_counter() - began
    answer = json.loads(body)
    assert response.status == 200 and len(answer["words"]) == WORDS_ON_SERVER, body
    return seconds, answer["calls"]


def address(log: Any) -> str:
    while True:
        log.seek(0)
        if found := re.search(r" on (http://127\.0\.0\.1:\d+)", log.read()):
            return found[1]
        time.sleep(0.05)


if __name__ == "__main__":
    main()
