"""Teaching: the text is answered so from then on, the rest stays, and it can be taken back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from purport import Bundle, Classifier, Dataset, Example, evaluate, load_dataset, teach
from purport.cli.main import app
from purport.data.reading import Reading
from purport.errors import (
    DataError,
    ExamplesUnfit,
    LabelUnknown,
    MemoryMissing,
    OthersChange,
    OutputExists,
    TeachingError,
)
from purport.locks import lock
from purport.teaching.lesson import lesson
from purport.teaching.teach import undo
from purport.testing import check_bundle
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.training.workspace import work_directory

OLD = Path(__file__).parents[1] / "data" / "linear-format-1"  # without memory
UNKNOWN = "🙂"  # a word that the model does not see, so that a text with it has the vector of one without
TEXT = "the drone flew away with my ring"


@pytest.fixture
def mine(linear_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle to teach."""
    return Path(shutil.copytree(linear_bundle.path, tmp_path / "mine"))


def content(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def decided(bundle: Path, texts: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(sorted(each.labels)) for each in Classifier.open(bundle).predict(list(texts))]


def test_a_text_of_which_only_a_part_is_read_is_not_taught_unless_that_is_wanted(mine: Path) -> None:
    """All e-mails with the same beginning and end would be answered alike."""
    mail = "It was a fine day, and we all thought of you. " * 60
    with pytest.raises(ExamplesUnfit, match=r'"It was a fine day, .* …" is longer than the model reads'):
        teach(mine, [Example(TEXT, ("damaged_item",)), Example(f"{mail}{TEXT}. {mail}", ("damaged_item",))])
    assert Bundle.open(mine).manifest.taught is None
    assert teach(mine, [Example(f"{mail}{TEXT}. {mail}", ("damaged_item",))], force=True).examples == 1


def test_a_taught_text_is_answered_so_and_others_as_before(mine: Path, sample: Dataset) -> None:
    texts = list(sample["test"].texts)
    before = Classifier.open(mine).answer(texts)
    done = teach(mine, [Example(TEXT, ("damaged_item", "refund_status"))])
    after = Classifier.open(mine)
    assert done.bundle.manifest.id == after.bundle.manifest.id != done.parent
    assert done.bundle.manifest.provenance.parents[-1] == done.parent and done.checked == len(list(sample["valid"]))
    assert decided(mine, [TEXT, TEXT.upper()]) == [("damaged_item", "refund_status")] * 2
    found = after.answer(texts)
    assert found.taught is not None
    untouched = found.taught == 0
    assert untouched.mean() > 0.5
    np.testing.assert_array_equal(found.probabilities[untouched], before.probabilities[untouched])
    np.testing.assert_array_equal(found.in_scope[untouched], before.in_scope[untouched])
    check_bundle(mine, texts=[TEXT, *texts[:5]])
    assert evaluate(after, sample["test"], resamples=2).n == len(texts)


def test_what_was_taught_is_counted_and_named_where_people_look(mine: Path) -> None:
    done = teach(mine, [Example(TEXT, ("damaged_item",)), Example("sing me a song", ())])
    assert done.bundle.manifest.taught is not None and done.bundle.manifest.taught.examples == 2
    card = (mine / "README.md").read_text("utf-8")
    assert "taught 2 examples in 1 batch: out of scope (1), `damaged_item` (1)" in card and done.parent in card


def test_out_of_scope_can_be_taught(mine: Path) -> None:
    teach(mine, [Example(TEXT, ())])
    (found,) = Classifier.open(mine).predict([TEXT])
    assert found.out_of_scope and found.reason == "taught" and found.in_scope == 0


def test_undo_gives_the_bundle_before_byte_for_byte(mine: Path) -> None:
    states = [content(mine)]
    new = [Example(f"can i pay with {n} coins", ("zork",)) for n in range(5)]
    for examples in ([Example(TEXT, ("damaged_item",))], new, [Example("sing me a song", ())]):
        teach(mine, examples)
        states.append(content(mine))
    assert "zork" in Bundle.open(mine).labels
    for state in reversed(states[:-1]):
        assert undo(mine).manifest.id == json.loads(state["manifest.json"])["id"]
        assert content(mine) == state
    with pytest.raises(TeachingError, match="nothing to undo"):
        undo(mine)
    assert content(mine) == states[0]


def test_a_new_label_is_begun_with_five_examples(mine: Path) -> None:
    rows = [Example(f"can i pay with {what} coins", ("coins",)) for what in ("gold", "bit", "lite", "doge", "old")]
    with pytest.raises(LabelUnknown, match=r'no label "coins".* at least 5 examples of it at once \(given: 4\)'):
        teach(mine, rows[:4])
    assert teach(mine, rows).new_labels == ("coins",)
    assert all("coins" in labels for labels in decided(mine, [row.text for row in rows]))
    classifier = Classifier.open(mine)
    assert classifier.predict_proba(["x"]).shape == (1, len(classifier.labels))
    teach(mine, [Example("do you take chocolate coins", ("coins",))])  # one more is enough from then on
    assert decided(mine, ["do you take chocolate coins"]) == [("coins",)]


def test_a_misspelt_label_gets_a_suggestion(mine: Path) -> None:
    with pytest.raises(LabelUnknown, match='Did you mean "damaged_item"'):
        teach(mine, [Example(TEXT, ("damaged_itme",))])


def test_rows_that_would_become_wrong_are_listed_and_nothing_is_taught(
    mine: Path, sample: Dataset, tmp_path: Path
) -> None:
    rows = list(sample["valid"])
    right = next(
        row for row, labels in zip(rows, decided(mine, [row.text for row in rows]), strict=True) if labels == row.labels
    )
    before, wrong = content(mine), "track_order" if "track_order" in Bundle.open(mine).labels else "damaged_item"
    text = f"{right.text} {UNKNOWN}"
    with pytest.raises(OthersChange) as failed:
        teach(mine, [Example(text, (wrong, "refund_status"))])
    assert right.text in str(failed.value) and "--allow-flips 1" in str(failed.value)
    assert content(mine) == before and [path.name for path in tmp_path.iterdir()] == ["mine"]
    done = teach(mine, [Example(text, (wrong, "refund_status"))], allow_flips=1)
    assert [flip.text for flip in done.flips if flip.broken] == [right.text]


def test_the_latest_lesson_of_a_text_counts(mine: Path) -> None:
    teach(mine, [Example(TEXT, ("damaged_item",))])
    with pytest.raises(ExamplesUnfit, match=r"example 1 .*, refund_status\): what was taught before says damaged_item"):
        teach(mine, [Example(TEXT + "!", ("refund_status",))])
    teach(mine, [Example(TEXT.upper(), ("damaged_item",))])  # the same again is no contradiction
    teach(mine, [Example(TEXT + "!", ("refund_status",))], force=True)
    assert decided(mine, [TEXT]) == [("refund_status",)]
    teach(mine, [Example(TEXT, ("refund_status",))])


@pytest.mark.parametrize("split", ["train", "valid"])
def test_an_example_that_contradicts_a_row_is_named_and_taught_only_if_that_is_meant(
    split: str, mine: Path, sample: Dataset
) -> None:
    row = next(row for row in sample[split] if row.labels == ("damaged_item",))
    before, example = content(mine), Example(f"{row.text.upper()}?!", ("refund_status",))
    with pytest.raises(ExamplesUnfit) as failed:
        teach(mine, [Example("sing me a song", ()), example])
    said = str(failed.value)
    assert f"row {row.row} of {split} says damaged_item" in said and "example 2 (" in said and "--force" in said
    assert content(mine) == before
    done = teach(mine, [example], force=True, allow_flips=0)
    assert decided(mine, [example.text]) == [("refund_status",)]
    assert all(flip.text == row.text for flip in done.flips if flip.broken)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_training_row_does_not_become_wrong_unseen(labelled: bool, mine: Path, sample: Dataset) -> None:
    rows = [row for row in sample["train"] if bool(row.labels) == labelled]
    right = next(
        row for row, labels in zip(rows, decided(mine, [row.text for row in rows]), strict=True) if labels == row.labels
    )
    wrong = next(label for label in Bundle.open(mine).labels if label not in right.labels)
    before, example = content(mine), Example(f"{right.text} {UNKNOWN}", (wrong,))
    with pytest.raises(OthersChange) as failed:
        teach(mine, [example])
    assert f'row {right.row} of train "{right.text}"' in str(failed.value) and content(mine) == before
    done = teach(mine, [example], allow_flips=1)
    assert [(flip.text, flip.split) for flip in done.flips if flip.broken] == [(right.text, "train")]


def test_without_its_data_a_bundle_is_taught_all_the_same(linear_bundle: Bundle, tmp_path: Path) -> None:
    from purport.bundle import commit, staging

    manifest = linear_bundle.manifest
    recipe = {**manifest.recipe, "data": {**manifest.recipe["data"], "name": "/gone/away.tsv"}}  # type: ignore[dict-item]
    with staging(tmp_path) as stage:
        shutil.copytree(linear_bundle.path, stage, dirs_exist_ok=True)
        commit(stage, tmp_path / "moved", manifest.model_copy(update={"recipe": recipe}))
    done = teach(tmp_path / "moved", [Example(TEXT, ("damaged_item",))])
    assert done.checked == 0 and decided(tmp_path / "moved", [TEXT]) == [("damaged_item",)]


def test_a_bundle_that_cannot_be_taught_says_what_to_do(mine: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputExists, match="ships with the package and stays as it is; name a directory"):
        teach("atis", [Example(TEXT, ("flight",))])
    with pytest.raises(MemoryMissing, match="train it again"):
        teach(OLD, [Example(TEXT, ("damaged_item",))], out=tmp_path / "out")
    before = content(mine)
    with lock(work_directory(mine) / "lock"), pytest.raises(OutputExists, match="is being written by"):
        teach(mine, [Example(TEXT, ("damaged_item",))])
    assert content(mine) == before


def test_a_killed_lesson_leaves_a_whole_bundle_and_does_not_stand_in_the_way(mine: Path) -> None:
    command = [sys.executable, "-m", "purport", "teach", str(mine), "--text", TEXT, "--label", "damaged_item"]
    before = Bundle.open(mine).manifest.id
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(work_directory(mine).glob("stage-*/linear.npz")) and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert Bundle.open(mine).manifest.id == before or decided(mine, [TEXT]) == [("damaged_item",)]
    teach(mine, [Example(TEXT, ("refund_status",))])
    assert decided(mine, [TEXT]) == [("refund_status",)] and not work_directory(mine).exists()


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (Example("  ", ("damaged_item",)), "text is empty"),
        (Example("x" * 200_000, ("damaged_item",)), "at most"),
        (Example("half \ud800", ("damaged_item",)), "UTF-8"),
        (Example(TEXT, (" ",)), "a label is empty"),
    ],
)
def test_what_cannot_be_taught_is_named(mine: Path, example: Example, said: str) -> None:
    with pytest.raises(ExamplesUnfit, match=f"example 2.*{said}"):
        teach(mine, [Example(TEXT, ("damaged_item",)), example])


def test_a_lesson_does_not_contradict_itself(sample: Dataset) -> None:
    from purport import Task

    two = [Example("a text", ("refund_status",)), Example("A text!", ("damaged_item",))]
    with pytest.raises(ExamplesUnfit, match="twice with different labels"):
        lesson(two, sample.labels, Task.MULTILABEL)
    with pytest.raises(ExamplesUnfit, match="2 labels, but the task is multiclass"):
        lesson([Example("a text", ("damaged_item", "refund_status"))], sample.labels, Task.MULTICLASS)
    with pytest.raises(ExamplesUnfit, match="no example"):
        lesson([], sample.labels, Task.MULTILABEL)


def test_hostile_labels_and_texts_stay_text(mine: Path) -> None:
    label = "<script>alert(1)</script> | `x`\n\x1b[31m"
    teach(mine, [Example(f"\x1b[2J=cmd()|{n} \u202e zork", (label,)) for n in range(5)])
    card = (mine / "README.md").read_text("utf-8").partition("## Taught")[2]
    assert "<script>" not in card.replace("`", "") or "`" in card
    assert "\x1b" not in card and card.count("\n") <= 4
    shown = CliRunner().invoke(app, ["predict", str(mine), "\x1b[2J=cmd()|1 \u202e zork", "--examples", "2"])
    assert shown.exit_code == 0 and "\x1b" not in shown.output


def test_the_command_line(mine: Path, tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["teach", str(mine), *words])

    first = Bundle.open(mine).manifest.id
    done = run("--text", TEXT, "--label", "refund_status", "--label", "damaged_item")
    assert done.exit_code == 0, done.output
    assert "taught 1 example\n" in done.output and f"taught to {first}" in done.output
    assert decided(mine, [TEXT]) == [("damaged_item", "refund_status")]
    table = tmp_path / "more.csv"
    table.write_text("text,label\nwhere did the drone go,damaged_item\nsing me a song,\n", "utf-8")
    assert "taught 2 examples" in run(str(table)).output
    assert decided(mine, ["sing me a song"]) == [()]
    assert run("--undo").exit_code == run("--undo").exit_code == 0
    assert Bundle.open(mine).manifest.id == first
    for words in ([], ["--text", "x"], ["--label", "x"], ["--undo", "--text", "x"], [str(table), "--label", "x"],
                  ["--text", "x", "--label", "y", "--out-of-scope"]):  # fmt: skip
        assert "pass a FILE" in str(run(*words).exception) or "needs either" in str(run(*words).exception)


def test_a_later_training_takes_taught_rows_in(mine: Path, tmp_path: Path) -> None:
    leaked = next(iter(load_dataset("sample", Reading(unlabelled="out_of_scope"))["test"].texts))
    rows = [Example(f"can i pay with {n} coins", ("coins",)) for n in range(5)]
    teach(mine, [*rows, Example(TEXT, ("damaged_item",)), Example(leaked, ("damaged_item",))], allow_flips=99)
    data = {"name": "sample", "valid": 0.2, "test": "test", "unlabelled": "out_of_scope", "include_taught": str(mine)}
    out = tmp_path / "next"
    bundle = train(parse_recipe({"kind": "linear", "task": "multilabel", "data": data}), out)
    assert bundle is not None and "coins" in bundle.labels
    assert decided(out, ["can i pay with 3 coins"]) == [("coins",)]
    plain = parse_recipe({"kind": "linear", "task": "multilabel", "data": {**data, "include_taught": None}})
    dataset, with_taught = plain.data.load(plain.task, 0), parse_recipe(bundle.manifest.recipe).data.load(plain.task, 0)
    assert len(with_taught["train"]) == len(dataset["train"]) + 6, "but not the text that is in test"
    for name in ("valid", "test"):
        assert with_taught[name].fingerprint == dataset[name].fingerprint
    shutil.rmtree(mine)  # the rows are found again without the bundle that was taught
    again = CliRunner().invoke(app, ["evaluate", str(out), "valid", "--resamples", "2"])
    assert again.exit_code == 0, again.output
    with pytest.raises(DataError, match="was not taught anything"):
        parse_recipe({"kind": "linear", "task": "multilabel", "data": {**data, "include_taught": str(out)}}).data.load(
            plain.task, 0
        )


def test_the_most_similar_examples_come_with_an_answer(mine: Path, sample: Dataset, tmp_path: Path) -> None:
    row = next(each for each in sample["train"] if each.labels)
    teach(mine, [Example(TEXT, ("damaged_item",))])
    (found,) = Classifier.open(mine).predict([row.text], examples=3)
    assert len(found.examples) == 3 and found.examples[0].similarity == pytest.approx(1, abs=0.01)
    assert any(each.row == row.row and each.labels == row.labels for each in found.examples)
    assert [each.similarity for each in found.examples] == sorted(each.similarity for each in found.examples)[::-1]
    (found,) = Classifier.open(mine).predict([TEXT], examples=1)
    assert found.examples[0].taught and found.examples[0].text == TEXT
    runner = CliRunner()
    shown = runner.invoke(app, ["predict", str(mine), TEXT, "--examples", "1"]).output
    assert f"like 1.000  damaged_item  (taught)  {TEXT}" in shown
    line = json.loads(runner.invoke(app, ["predict", str(mine), TEXT, "--examples", "2", "--json"]).output)
    assert line["examples"][0] == {"labels": ["damaged_item"], "similarity": 1.0, "text": TEXT, "taught": True}
    given, made = tmp_path / "in.csv", tmp_path / "out.jsonl"
    given.write_text(f"text\n{TEXT}\n\n", "utf-8")
    runner.invoke(app, ["predict", str(mine), "-i", str(given), "-o", str(made), "--examples", "1"])
    answer = json.loads(made.read_text("utf-8").splitlines()[0])
    assert (answer["example_1"], answer["example_labels_1"], answer["similarity_1"]) == (TEXT, ["damaged_item"], 1.0)
    with pytest.raises(MemoryMissing):
        Classifier.open(OLD).predict(["x"], examples=1)
