"""``purport label``: what is asked, what is written down, what survives a stop, and what a small bundle then costs."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from purport import Bundle, Classifier
from purport.cli.main import app
from purport.data.reading import Example
from purport.errors import BudgetSpent, DataError, OutputExists, ProviderError, RunMismatch
from purport.labelling.labelled import Wanted, _batches, confidences, label
from purport.labelling.typical import typical_first
from purport.model import Metered
from purport.testing import Recorder
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

from .scripted_llm import Script

NAMES = ["rome", "oslo", "cairo", "lima", "quito", "accra", "delhi", "seoul", "miami", "turin", "malmo", "basel"]
WORDING = {
    "flight": ["fly to {}", "a flight to {} please", "can i fly from {}"],
    "fare": ["what is the cost of going to {}", "cost to {}", "which fare is there for {}"],
    "meal": ["is there food to {}", "i want a meal on the way to {}", "what food do you serve to {}"],
    "": ["hi from {}", "tell me a joke about {}", "who won the match in {}"],
}
PRICES = {"input_price": 0.40, "output_price": 1.60}
VOTES = 2


def worded(names: list[str]) -> list[tuple[str, str]]:
    return [(text.format(name), intent) for name in names for intent, some in WORDING.items() for text in some]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(path: Path, rows: list[tuple[str, ...]], header: str) -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", "utf-8")
    return path


def llm_bundle(script: Script, tmp_path: Path, name: str = "llm", **more: Any) -> Bundle:
    data = written(tmp_path / f"{name}.csv", worded(NAMES[:4]), "text,label")
    recipe = {
        "kind": "llm", "task": "multiclass",
        "data": {"name": str(data), "unlabelled": "out_of_scope", "valid": 0.5},
        "provider": {"model": "m", "base_url": script.url, "retries": 0}, "prompt": {"votes": VOTES}, "budget": PRICES,
    }  # fmt: skip
    bundle = train(parse_recipe(recipe | more), tmp_path / name)
    assert bundle is not None
    script.asked.clear()
    return bundle


def examples(count: int) -> list[Example]:
    """Different texts, sorted by their label as files often are."""
    rows = worded([f"{name} {number}" for number in range(9) for name in NAMES])
    return [Example(text, (), row) for row, (text, _) in enumerate(sorted(rows, key=lambda row: row[1])[:count], 1)]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def asked(script: Script) -> list[str]:
    return [json.loads(body["messages"][-1]["content"]) for body in script.asked]


def test_the_whole_loop_from_texts_without_labels_to_a_bundle_that_costs_a_thousandth(
    script: Script, tmp_path: Path
) -> None:
    """What a text costs: for the language model, what its accounting says, at the prices of the recipe. For the small
    bundle, the seconds of a core that it takes, at 0.05 US dollars an hour, about what clouds ask for a core."""
    teacher = llm_bundle(script, tmp_path)
    rows = worded([f"{name} {number}" for number in range(3) for name in NAMES])[:300]
    texts = written(tmp_path / "texts.csv", [(text,) for text, _ in rows], "text")
    test = written(tmp_path / "test.csv", worded(["tokio", "paris", "london"]), "text,label")
    labels, small, run = tmp_path / "labels.csv", tmp_path / "small", CliRunner().invoke
    done = run(app, ["label", str(texts), "--with", str(teacher.path), "--output", str(labels)])
    assert done.exit_code == 0, done.output
    assert {row["text"]: row["labels"] for row in table(labels)} == dict(rows)
    assert "no rows of your own: purport train" in done.output and len(script.asked) == 300 * VOTES
    cost = 300 * VOTES * (100 * 0.40 + 10 * 1.60) / 1e6
    assert f"cost: {cost:.4f} US dollars" in done.output
    assert f"│ {cost:.4f}" in done.output.partition("for 1,000 texts")[2], "the table of costs by label"
    answered = tmp_path / "answered.csv"
    again = run(app, ["predict", str(teacher.path), "--input", str(texts), "--output", str(answered)])
    assert again.exit_code == 0 and f"│ {cost:.4f}" in again.output.partition("for 1,000 texts")[2], again.output
    words = ["train", str(labels), "--out", str(small), "--set", "kind=linear"]
    done = run(app, [*words, "--set", "data.confidence_column=confidence"])
    assert done.exit_code == 0, done.output
    measured = tmp_path / "measured.json"
    done = run(app, ["evaluate", str(small), str(test), "--unlabelled", "out_of_scope", "--output", str(measured)])
    assert done.exit_code == 0, done.output
    assert json.loads(measured.read_text("utf-8"))["metrics"]["accuracy"]["value"] >= 0.9

    classifier = Classifier.open(small)
    everything = [text for text, _ in rows]
    began = time.process_time()
    classifier.predict(everything)
    small_cost = (time.process_time() - began) / 3600 * 0.05
    assert small_cost <= cost / 1000
    assert len(script.asked) == 300 * VOTES, "the small bundle asks nobody"


def test_a_second_run_asks_nothing_and_changes_nothing(script: Script, tmp_path: Path) -> None:
    classifier, out = Classifier.open(llm_bundle(script, tmp_path)), Wanted(tmp_path / "labels.csv")
    label(classifier, examples(40), out)
    before = out.target.read_bytes()
    script.asked.clear()
    found = label(classifier, examples(40), out, resume=True)
    assert (found.earlier, found.labelled, script.asked) == (40, 40, []) and out.target.read_bytes() == before


def test_what_is_there_is_not_overwritten_unasked(script: Script, tmp_path: Path) -> None:
    classifier, out = Classifier.open(llm_bundle(script, tmp_path)), Wanted(tmp_path / "labels.csv")
    out.target.write_text("mine", "utf-8")
    with pytest.raises(OutputExists, match="pass --resume to go on with it, --overwrite to begin again"):
        label(classifier, examples(3), out)
    assert out.target.read_text("utf-8") == "mine" and not script.asked
    assert label(classifier, examples(3), out, overwrite=True).labelled == 3


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_spent_budget_loses_nothing_and_the_next_run_goes_on(script: Script, tmp_path: Path, suffix: str) -> None:
    teacher = llm_bundle(script, tmp_path, budget={**PRICES, "tokens": 40_000})
    out, recorder = Wanted(tmp_path / f"labels.{suffix}"), Recorder()
    with pytest.raises(BudgetSpent):
        label(Classifier.open(teacher), examples(240), out, reporter=recorder)
    paid = asked(script)
    assert 100 < len(paid) < 240 * VOTES
    whole = sum(count == VOTES for count in Counter(paid).values())
    assert f"{240 - whole:,} of 240 texts are left; go on with --resume" in recorder.lines, "all that is paid is kept"
    script.asked.clear()
    for _ in range(4):
        try:
            found = label(Classifier.open(teacher), examples(240), out, resume=True)
            break
        except BudgetSpent:
            continue
    assert found.labelled == 240
    assert sorted(paid + asked(script)) == sorted(text.text for text in examples(240) for _ in range(VOTES))


def test_a_service_that_fails_in_the_middle_leaves_what_was_answered(script: Script, tmp_path: Path) -> None:
    classifier, out = Classifier.open(llm_bundle(script, tmp_path)), Wanted(tmp_path / "labels.csv")
    answer, script.answer = script.content, None

    def broken(body: dict[str, Any], schema: dict[str, Any]) -> str:
        if len(script.asked) > 64 * VOTES + 20:
            script.faults.append((500, b"oops"))
        return answer(body, schema)

    script.content = broken  # type: ignore[method-assign]
    with pytest.raises(ProviderError):
        label(classifier, examples(200), out)
    assert 64 + (20 - 16) / VOTES <= len(table(out.target)) < 100, "also what was answered of the batch that broke off"
    script.content, script.faults = answer, type(script.faults)()  # type: ignore[method-assign]
    assert label(classifier, examples(200), out, resume=True).labelled == 200
    assert len({row["text"] for row in table(out.target)}) == 200


def test_ctrl_c_loses_nothing_that_was_written_and_pays_for_nothing_twice(script: Script, tmp_path: Path) -> None:
    """As a user stops it: a process of its own, SIGINT in the middle."""
    teacher, labels = llm_bundle(script, tmp_path), tmp_path / "labels.csv"
    texts = written(tmp_path / "texts.csv", [(each.text,) for each in examples(200)], "text")
    words = [sys.executable, "-m", "purport", "label", str(texts), "--with", str(teacher.path), "-o", str(labels)]
    script.latency_s = 0.1
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 180
    while len(script.asked) < 100 * VOTES and time.monotonic() < until:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=180)
    kept = len(table(labels))
    assert running.returncode == 130 and f"{200 - kept} of 200 texts are left; go on with --resume" in said, said
    assert kept >= 100 - 16, "whatever was answered is there, also of the batch that broke off"
    requests = re.search(r"requests to services: (\d+)(?! \(answers from the cache)", said)
    assert requests
    until = time.monotonic() + 10  # what was sent last may come when the command has ended
    while len(script.asked) < int(requests[1]) and time.monotonic() < until:
        time.sleep(0.02)
    assert int(requests[1]) <= len(script.asked), f"{len(script.asked)} were sent: {said}"
    script.latency_s = 0
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0 and len(table(labels)) == 200, done.stderr
    # Only requests that were on their way when it stopped are made again.
    assert len(script.asked) <= 200 * VOTES + 16


def test_texts_are_shuffled_before_they_are_asked_and_each_is_asked_once(script: Script, tmp_path: Path) -> None:
    """In the file they are sorted by label, and each twice."""
    classifier, out = Classifier.open(llm_bundle(script, tmp_path)), Wanted(tmp_path / "labels.csv")
    given = examples(100)
    label(classifier, [each for each in given for _ in range(2)], out)
    texts = asked(script)
    assert sorted(texts) == sorted([each.text for each in given] * VOTES)
    place = {each.text: number for number, each in enumerate(given)}
    steps = np.diff([place[text] for text in texts])
    assert np.mean(np.abs(steps) <= 1) < 0.6, "two votes of a text may follow each other, neighbours do not"
    assert len(table(out.target)) == 200


def test_batches_are_shuffled_and_the_first_ones_have_the_most_typical_texts() -> None:
    texts = [[Example(str(number), ())] for number in range(600)]
    found = [int(each[0].text) for batch in _batches(texts, 64, 0) for each in batch]
    assert sorted(found) == list(range(600)) and {*found[:256]} == {*range(256)}
    assert np.corrcoef(found[:256], range(256))[0, 1] < 0.3
    assert found != [int(each[0].text) for batch in _batches(texts, 64, 1) for each in batch]


def test_votes_that_differ_lower_the_confidence(script: Script, tmp_path: Path) -> None:
    classifier, out = Classifier.open(llm_bundle(script, tmp_path)), Wanted(tmp_path / "labels.csv")
    seen: set[str] = set()

    def answer(text: str, labels: list[str]) -> dict[str, str]:
        """Of "cost or fly", something else each time."""
        with script.lock:
            again = text in seen
            seen.add(text)
        return {"label": "fare" if "cost" in text and again else "flight"}

    script.answer = answer
    label(classifier, [Example("fly", ()), Example("cost or fly", ())], out)
    sure = {row["text"]: float(row["confidence"]) for row in table(out.target)}
    assert sure["cost or fly"] < sure["fly"] - 0.2


def test_doubtful_rows_go_to_a_table_of_their_own(script: Script, tmp_path: Path) -> None:
    classifier = Classifier.open(llm_bundle(script, tmp_path))
    given = examples(60)
    sure = confidences(classifier, classifier.answer([each.text for each in given]))
    cut = float(np.sort(sure)[30])
    out = Wanted(tmp_path / "labels.csv", tmp_path / "doubtful.jsonl", cut + 1e-4)
    found = label(classifier, given, out)
    rows = [json.loads(line) for line in (tmp_path / "doubtful.jsonl").read_text("utf-8").splitlines()]
    assert found.labelled + found.doubtful == 60 and len(rows) == found.doubtful > 0
    assert all(row["confidence"] < out.min_confidence and row["likeliest"] for row in rows)
    assert label(classifier, given, out, resume=True).earlier == 60


def test_corrections_and_columns_of_people_stay(script: Script, tmp_path: Path) -> None:
    classifier, out = Classifier.open(llm_bundle(script, tmp_path)), Wanted(tmp_path / "labels.csv", limit=20)
    label(classifier, examples(60), out)
    rows = table(out.target)
    rows[0] |= {"labels": "meal", "confidence": "", "by": "ada"}
    with out.target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    label(classifier, examples(60), Wanted(out.target, limit=40), resume=True)
    again = table(out.target)
    assert len(again) == 40 and (again[0]["labels"], again[0]["confidence"], again[0]["by"]) == ("meal", "", "ada")


def test_a_table_of_another_bundle_is_not_mixed(script: Script, tmp_path: Path) -> None:
    out = Wanted(tmp_path / "labels.csv")
    label(Classifier.open(llm_bundle(script, tmp_path)), examples(5), out)
    other = llm_bundle(script, tmp_path, "other", seed=2)
    with pytest.raises(RunMismatch, match="was labelled by bundle"):
        label(Classifier.open(other), examples(9), out, resume=True)
    assert not script.asked


def test_a_text_without_a_usable_reply_is_in_no_table(script: Script, tmp_path: Path) -> None:
    """It is not out of scope: nobody said so."""
    classifier, out = Classifier.open(llm_bundle(script, tmp_path)), Wanted(tmp_path / "labels.csv")
    script.answer = lambda text, labels: {"label": "nonsense"} if text == "fly" else {"label": "fare"}
    found = label(classifier, [Example("fly", ()), Example("cost", ())], out)
    assert found.unanswered == 1 and [row["text"] for row in table(out.target)] == ["cost"]
    script.answer = None
    assert label(classifier, [Example("fly", ()), Example("cost", ())], out, resume=True).labelled == 2


def test_a_text_cannot_be_a_formula_of_a_spreadsheet(script: Script, tmp_path: Path) -> None:
    classifier, out = Classifier.open(llm_bundle(script, tmp_path)), Wanted(tmp_path / "labels.csv")
    text = '=HYPERLINK("http://a.example","fly")'
    label(classifier, [Example(text, ())], out)
    assert table(out.target)[0]["text"] == f"'{text}"
    assert label(classifier, [Example(text, ())], out, resume=True).earlier == 1


@pytest.mark.parametrize("kind", ["linear", "cascade"])
def test_any_bundle_labels(script: Script, tmp_path: Path, kind: str) -> None:
    data = {"name": str(written(tmp_path / "few.csv", worded(NAMES), "text,label")), "unlabelled": "out_of_scope"}
    cheap = train(parse_recipe({"kind": "linear", "task": "multiclass", "data": data}), tmp_path / "linear")
    assert cheap is not None
    ref = cheap.path
    if kind == "cascade":
        best = llm_bundle(script, tmp_path, data={**data, "valid": 0.5})
        stages = {"bundles": [str(cheap.path), str(best.path)], "target": "passed_on <= 0.9"}
        recipe = {"kind": "cascade", "task": "multiclass", "data": data, "stages": stages}
        ref = getattr(train(parse_recipe(recipe), tmp_path / "cascade"), "path", ref)
    classifier, out = Classifier.open(ref), Wanted(tmp_path / "labels.csv")
    assert label(classifier, examples(80), out).labelled == 80
    right = [row["labels"] == ("flight" if "fly" in row["text"] or "flight" in row["text"] else row["labels"])
             for row in table(out.target)]  # fmt: skip
    assert np.mean(right) > 0.9
    assert not isinstance(classifier.model, Metered) or kind == "cascade" or not classifier.model.usage


def test_the_most_typical_texts_come_first_and_stand_for_all() -> None:
    """Density alone would take all of the big group first."""
    many = [f"please book a flight to {name} for me" for name in NAMES]
    some = [f"what food is served in {name}" for name in NAMES[:6]]
    strangers = ["qwx", "zzkj 77"]
    texts = [*strangers, *many, *some]
    order = [texts[row] for row in typical_first(texts, 0)]
    assert sorted(order) == sorted(texts) and order[0] in many
    assert {*order[:2]} & {*some} and not {*order[:2]} & {*strangers}
    assert [*typical_first(texts, 0)] == [*typical_first(texts, 0)]


@pytest.mark.parametrize("texts", [["a"], ["!", "?"], ["", " "], ["a b", "a  b"]])
def test_few_and_odd_texts_have_an_order(texts: list[str]) -> None:
    assert sorted(typical_first(texts, 0).tolist()) == list(range(len(texts)))


def test_a_table_without_a_text(script: Script, tmp_path: Path) -> None:
    bundle = llm_bundle(script, tmp_path)
    written(tmp_path / "none.csv", [(" ",)], "text")
    words = ["label", str(tmp_path / "none.csv"), "--with", str(bundle.path), "--output", str(tmp_path / "out.csv")]
    assert isinstance(CliRunner().invoke(app, words).exception, DataError)
